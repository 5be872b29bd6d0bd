"""The configuration's model: a YAML file in, Settings out, all problems at once.

Secrets are never in it: a `conn_id` names an Airflow Connection that holds them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import timedelta
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import yaml
from pydantic import Field, PositiveInt, ValidationError, model_validator

from accountsync.errors import ConfigurationError
from accountsync.settings.hr import AnySource
from accountsync.settings.parts import Duration, Group, Name, Zone, template
from accountsync.settings.targets import AnyTarget

PRESETS = Path(__file__).parents[1] / "presets"
_DEFAULT_CONFIG = Path(__file__).parents[3] / "config" / "accountsync.yaml"


class Database(Group):
    conn_id: str = "accountsync_db"


class Retry(Group):
    max_attempts: PositiveInt = 5
    base: Duration = timedelta(seconds=30)
    cap: Duration = timedelta(hours=6)
    probe_gap: Duration = Field(
        timedelta(seconds=30), description="between two looks after an unknown outcome"
    )


class Alerts(Group):
    smtp_conn_id: str = "smtp_default"
    to: list[str] = []
    sender: str | None = Field(None, description="default: `from_email` of the Connection")


class Settings(Group):
    """config/accountsync.yaml."""

    timezone: Zone = "UTC"
    database: Database = Database()
    hr: list[AnySource] = Field(min_length=1)
    names: dict[Name, Annotated[str, template(frozenset({"person"}))]] = {}
    systems: dict[Name, AnyTarget]
    retry: Retry = Retry()
    alerts: Alerts = Alerts()

    @model_validator(mode="after")
    def _dependencies_end(self) -> Settings:
        for name, target in self.systems.items():
            unknown = sorted(set(target.depends_on) - set(self.systems))
            if unknown:
                raise ValueError(f"systems.{name}.depends_on: unknown {unknown}")
        try:
            TopologicalSorter({n: t.depends_on for n, t in self.systems.items()}).prepare()
        except CycleError as error:
            raise ValueError(f"systems: dependency cycle {' → '.join(error.args[1])}") from error
        return self

    @model_validator(mode="after")
    def _sources_are_distinct(self) -> Settings:
        names = [source.name for source in self.hr]
        if len(set(names)) != len(names):
            raise ValueError("hr: two sources have the same name")
        return self

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    def source(self, name: str) -> AnySource:
        for source in self.hr:
            if source.name == name:
                return source
        raise ConfigurationError(f"no HR source is called {name!r}")


def config_path() -> Path:
    """ACCOUNTSYNC_CONFIG, else config/accountsync.yaml beside plugins/."""
    return Path(os.environ.get("ACCOUNTSYNC_CONFIG") or _DEFAULT_CONFIG)


def load(path: Path) -> Settings:
    """Raises ConfigurationError with one line per problem: path in the file, problem, hint."""
    return parse(_read(path), origin=str(path))


def parse(document: Any, *, origin: str) -> Settings:
    if not isinstance(document, Mapping):
        raise ConfigurationError(f"{origin}: expected a mapping at the top")
    try:
        return Settings.model_validate(with_presets(document))
    except ValidationError as error:
        lines = [f"  {_where(e['loc'])}: {_what(e)}" for e in error.errors()]
        raise ConfigurationError(
            f"{origin}: {len(lines)} problem(s)\n" + "\n".join(lines)
        ) from error


def _read(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(
            f"{path}: cannot be read ({error.strerror}); ACCOUNTSYNC_CONFIG names the file"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: is not valid YAML: {error}") from error


def with_presets(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document with every `preset: NAME` replaced by that preset, the document's own keys winning."""
    merged = dict(document)
    if isinstance(merged.get("hr"), list):
        merged["hr"] = [_preset_merged(source, f"hr.{n}") for n, source in enumerate(merged["hr"])]
    if isinstance(merged.get("systems"), Mapping):
        merged["systems"] = {
            name: _preset_merged(target, f"systems.{name}")
            for name, target in merged["systems"].items()
        }
    return merged


def _preset_merged(own: Any, where: str) -> Any:
    if not isinstance(own, Mapping) or "preset" not in own:
        return own
    rest = {key: value for key, value in own.items() if key != "preset"}
    path = PRESETS / f"{own['preset']}.yaml"
    known = sorted(preset.stem for preset in PRESETS.glob("*.yaml"))
    if own["preset"] not in known:
        raise ConfigurationError(f"{where}.preset: no preset {own['preset']!r}; known: {known}")
    return _merged(_read(path), rest)


def _merged(base: Any, own: Any) -> Any:
    if not (isinstance(base, Mapping) and isinstance(own, Mapping)):
        return own
    return {**base, **{key: _merged(base.get(key), value) for key, value in own.items()}}


def _where(location: tuple[int | str, ...]) -> str:
    return ".".join(str(step) for step in location) or "(whole file)"


_HINTS = {
    "extra_forbidden": "no such setting here; check the spelling",
    "missing": "is required",
}


def _what(error: Any) -> str:
    hint = _HINTS.get(error["type"])
    message = str(error["msg"]).removeprefix("Value error, ")
    return f"{message} ({hint})" if hint else message
