"""The configuration: it reads a YAML file into Settings, and reports all problems at once.

No secret stands in it: a `conn_id` names an Airflow Connection that holds them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import ConfigDict, Field, PositiveInt, ValidationError

from accountsync.domain.tasks.waiting import Order
from accountsync.errors import ConfigurationError
from accountsync.settings import problems
from accountsync.settings.document import FORMER_NAME, as_written, read, with_presets, with_targets
from accountsync.settings.guard import Guard
from accountsync.settings.hr import AnySource
from accountsync.settings.naming import AnyNameSpace, ReservedNames
from accountsync.settings.parts import Duration, Group, Name, Zone, setting_names
from accountsync.settings.references import wrong_references
from accountsync.settings.targets import AnyTarget

_DEFAULT_CONFIG = Path(__file__).parents[3] / "config" / "accountsync.yaml"


class Database(Group):
    """Connections to the store."""

    conn_id: str = "accountsync_db"
    owner_conn_id: str | None = Field(
        None, description="for `db upgrade` and `db repair`; the other one then owns nothing"
    )
    report_role: str | None = Field(
        None, min_length=1, description="a role of the database that may read, and nothing else"
    )


class Retry(Group):
    max_attempts: PositiveInt = 5
    base: Duration = timedelta(seconds=30)
    cap: Duration = timedelta(hours=6)
    probe_gap: Duration = Field(
        timedelta(seconds=30), description="between two looks after an unknown outcome"
    )


class Breaker(Group):
    """When a target counts as down, and how often it is looked at then."""

    after: PositiveInt = Field(10, description="calls in a row without a proper answer")
    base: Duration = Field(timedelta(minutes=1), description="until the first look; then doubled")
    cap: Duration = timedelta(minutes=15)


class Alerts(Group):
    smtp_conn_id: str = "smtp_default"
    to: list[str] = []
    sender: str | None = Field(None, description="default: `from_email` of the Connection")


class Reviews(Group):
    """Who decides about what a guard held."""

    users: list[str] = Field(
        [],
        description="ids of Airflow users; none: whoever may answer Required Actions",
    )


def _accept_former_name(schema: dict[str, Any]) -> None:
    """For editors: targets may stand under their older name instead."""
    former = schema["properties"]["targets"] | {"deprecated": True}
    schema["properties"][FORMER_NAME] = former
    schema["required"].remove("targets")
    schema["oneOf"] = [{"required": ["targets"]}, {"required": [FORMER_NAME]}]


class Settings(Group):
    """config/accountsync.yaml."""

    model_config = ConfigDict(json_schema_extra=_accept_former_name)

    timezone: Zone = "UTC"
    database: Database = Database()
    hr: list[AnySource] = Field(min_length=1)
    names: dict[Name, AnyNameSpace] = {}
    reserved_names: ReservedNames = Field(ReservedNames(), description="names for nobody")
    targets: dict[Name, AnyTarget]
    guard: Guard = Field(Guard(), description="what of a plan is held for a human")
    retry: Retry = Retry()
    breaker: Breaker = Breaker()
    reviews: Reviews = Field(Reviews(), description="who decides about what was held")
    alerts: Alerts = Alerts()

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    @property
    def order(self) -> Order:
        """Which targets come after which (I12)."""
        return Order(
            depends_on={name: target.depends_on for name, target in self.targets.items()},
            after={name: target.after for name, target in self.targets.items()},
        )

    def source(self, name: str) -> AnySource:
        for source in self.hr:
            if source.name == name:
                return source
        raise ConfigurationError(f"no HR source is called {name!r}")


def config_path() -> Path:
    """ACCOUNTSYNC_CONFIG, else config/accountsync.yaml beside plugins/."""
    return Path(os.environ.get("ACCOUNTSYNC_CONFIG") or _DEFAULT_CONFIG)


def process_settings() -> Settings:
    """The settings of this process. Their file is read once: a change of it takes effect in the
    next process. Raises as `load` does."""
    return _load_once(config_path())


@cache
def _load_once(path: Path) -> Settings:
    return load(path)


def load(path: Path) -> Settings:
    """The settings of a file. Raises ConfigurationError with one line per problem: its path in the
    file, the problem, a hint."""
    return parse(read(path), origin=str(path))


def parse(document: object, *, origin: str) -> Settings:
    """The settings of a document, with its presets merged in. Raises as `load` does."""
    if not isinstance(document, Mapping):
        raise ConfigurationError(f"{origin}: holds no settings; expected lines of `name: value`")
    renamed, misplaced = with_targets(document)
    merged, wrong = with_presets(renamed)
    try:
        settings = Settings.model_validate(merged)
    except ValidationError as error:
        unread = {problem.place[:2] for problem in wrong}
        refused = problems.of_error(error, merged, setting_names())
        wrong += [problem for problem in refused if problem.place[:2] not in unread]
    wrong += [*wrong_references(merged), *misplaced]
    if wrong:
        raise ConfigurationError(problems.listed(origin, as_written(wrong, document)))
    return settings
