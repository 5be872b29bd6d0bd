"""The host, the login and the secrets of one Airflow Connection."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from accountsync.errors import ConfigurationError


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """`base_url` has no trailing slash. `verify`: whether certificates are verified, or a file of
    CA certificates. `cert`, `key`: files of a client certificate, whose key may be in `cert`.
    Secrets are kept out of `repr`.
    """

    conn_id: str
    base_url: str
    login: str = ""
    password: str = field(default="", repr=False)
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)
    verify: bool | str = True
    cert: str | None = None
    key: str | None = None
    proxy: str | None = field(default=None, repr=False)
    _context: Mapping[str, Any] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        facts = {"login": self.login, "password": self.password, "extra": self.extra}
        object.__setattr__(self, "_context", _Facts(f"Connection {self.conn_id!r}", facts))

    def as_context(self) -> Mapping[str, Any]:
        """It is made once, because every call reads it. Callers must not change it."""
        return self._context


class _Facts(dict[str, Any]):
    """What the Connection lacks is a ConfigurationError, and never one person's fault."""

    def __init__(self, place: str, facts: Mapping[str, Any]) -> None:
        super().__init__(
            (key, _Facts(f"{place}: {key}", fact) if isinstance(fact, Mapping) else fact)
            for key, fact in facts.items()
            if fact is not None
        )
        self._place = place

    def __missing__(self, key: str) -> Any:
        raise ConfigurationError(f"{self._place} has no {key!r}")


def tls_context(endpoint: Endpoint) -> ssl.SSLContext:
    """Verifies as `verify` says. Raises ConfigurationError where it names no certificates."""
    verify = endpoint.verify
    try:
        context = ssl.create_default_context(cafile=None if isinstance(verify, bool) else verify)
    except OSError as error:
        raise ConfigurationError(
            f"{endpoint.conn_id}: `verify` in the Connection's extra is {verify!r};"
            " use true, false or a file of CA certificates"
        ) from error
    if verify is False:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context
