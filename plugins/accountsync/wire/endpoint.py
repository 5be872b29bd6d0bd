"""Where an API lives and how to get in: the facts of one Airflow Connection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


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
        return {"login": self.login, "password": self.password, "extra": self.extra}
