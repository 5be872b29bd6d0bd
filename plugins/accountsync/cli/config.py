"""Check and print the configuration file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
import yaml

from accountsync.settings import Settings, config_path, load

app = typer.Typer(help=__doc__, no_args_is_help=True)

ConfigFile = Annotated[
    Path | None, typer.Argument(help="default: ACCOUNTSYNC_CONFIG, else config/accountsync.yaml")
]


@app.command("check")
def config_check(file: ConfigFile = None) -> None:
    """Validate the configuration; list every problem."""
    path = file or config_path()
    settings = load(path)
    sources = ", ".join(source.name for source in settings.hr)
    typer.echo(f"{path}: valid. HR: {sources}. Targets: {', '.join(settings.targets)}.")
    if settings.database.owner_conn_id is None:
        typer.echo(
            "look: database.owner_conn_id is not set, so the run-time login owns the store and can"
            " switch off its triggers (docs/deployment.md, Roles of the database)"
        )


@app.command("show")
def config_show(file: ConfigFile = None) -> None:
    """Print the configuration with presets and defaults filled in."""
    settings = load(file or config_path())
    shown = settings.model_dump(mode="json", exclude_none=True)
    typer.echo(yaml.safe_dump(shown, allow_unicode=True, sort_keys=False), nl=False)


@app.command("schema")
def config_schema() -> None:
    """Print the JSON schema of the configuration, for editors."""
    typer.echo(json.dumps(Settings.model_json_schema(), indent=2, ensure_ascii=False))
