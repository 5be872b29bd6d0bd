"""The app below /accountsync in Airflow's API server. Every route needs a logged-in user (I16)."""

from __future__ import annotations

from fastapi import FastAPI

from accountsync.web.access import AUTHENTICATED

app = FastAPI(
    title="AccountSync",
    docs_url=None,
    redoc_url=None,
    openapi_url=None,
    dependencies=[AUTHENTICATED],
)


@app.get("/health")
def health() -> dict[str, str]:
    """Says that the plugin is loaded."""
    return {"plugin": "accountsync"}
