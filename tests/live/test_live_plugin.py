"""The plugin's routes in the real API server: for users of Airflow only (I16)."""

from __future__ import annotations

from http.client import HTTPConnection

import pytest

from tests.live.running import Live

pytestmark = pytest.mark.slow


def test_anonymous_visitors_are_refused(live: Live) -> None:
    assert _status(live, "/accountsync/health") == 401


def test_users_are_let_in(live: Live) -> None:
    assert _status(live, "/accountsync/health", live.token) == 200


@pytest.mark.parametrize("path", ["docs", "redoc", "openapi.json"])
def test_what_describes_the_routes_is_not_served(live: Live, path: str) -> None:
    assert _status(live, f"/accountsync/{path}") in (401, 404)
    assert _status(live, f"/accountsync/{path}", live.token) == 404


def _status(live: Live, path: str, token: str | None = None) -> int:
    connection = HTTPConnection("127.0.0.1", live.stack.ports.airflow, timeout=30)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        connection.request("GET", path, headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()
