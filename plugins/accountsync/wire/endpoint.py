"""Where an API lives and how to get in: the facts of one Airflow Connection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from accountsync.errors import ConfigurationError


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """`base_url` has no trailing slash. Secrets are kept out of `repr`."""

    conn_id: str
    base_url: str
    login: str = ""
    password: str = field(default="", repr=False)
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)
    verify: bool | str = True
    proxy: str | None = None

    def as_context(self) -> dict[str, Any]:
        extra = _Extra(self.extra)
        extra.conn_id = self.conn_id
        return {"login": self.login, "password": self.password, "extra": extra}


class _Extra(dict[str, Any]):
    """A key that the Connection lacks is the configuration's fault, never one person's."""

    conn_id = ""

    def __missing__(self, key: str) -> Any:
        raise ConfigurationError(f"Connection {self.conn_id!r}: its extra has no {key!r}")
