"""A small synchronous client of the `/_sim` routes, for tests, benchmarks and the command line.

An answer other than 2xx raises `SimulatorError` with the server's own words.
"""

from __future__ import annotations

from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import urlsplit

import orjson

JsonObject = dict[str, Any]
Changed = dict[str, list[str]]

_TIMEOUT = 60.0


class SimulatorError(Exception):
    """A simulator refused, or is not there."""


class SimClient:
    """One simulator at a URL."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")

    def state(self) -> JsonObject:
        return self.call("GET", "/_sim/state")

    def reset(self) -> JsonObject:
        return self.call("POST", "/_sim/reset")

    def faults(self, *rules: JsonObject) -> list[JsonObject]:
        """Add rules; without any, list those in force."""
        method, body = ("POST", list(rules)) if rules else ("GET", None)
        return _listed(self.call(method, "/_sim/faults", body), "rules")

    def fault(self, kind: str, **options: Any) -> list[JsonObject]:
        """Add one rule."""
        return self.faults({"kind": kind, **options})

    def heal(self) -> None:
        """Remove all rules."""
        self.call("DELETE", "/_sim/faults")

    def call(self, method: str, path: str, body: Any = None) -> JsonObject:
        """Send JSON, answer JSON."""
        where = urlsplit(self.url)
        connection = HTTPConnection(where.hostname or "", where.port, timeout=_TIMEOUT)
        try:
            connection.request(method, path, orjson.dumps(body) if body is not None else None)
            response = connection.getresponse()
            data = response.read()
        except (OSError, HTTPException) as error:
            raise SimulatorError(f"no simulator answers at {self.url}: {error}") from error
        finally:
            connection.close()
        if response.status >= 300:
            raise SimulatorError(f"HTTP {response.status}: {data.decode(errors='replace')}")
        answer: JsonObject = orjson.loads(data)
        return answer


class HrClient(SimClient):
    """The HR system: what happens to people, and who they are."""

    def events(self, *, at: str | None = None, in_days: int = 0, **counts: int) -> Changed:
        """Let `join=2, leave=1, …` happen; answers `{kind: [employee numbers]}`."""
        return self.happen(counts, at=at, in_days=in_days)

    def happen(self, counts: dict[str, int], *, at: str | None = None, in_days: int = 0) -> Changed:
        body = {**counts, "at": at, "in_days": in_days}
        changed: Changed = self.call("POST", "/_sim/events", body)["changed"]
        return changed

    def put_persons(self, *rows: JsonObject) -> None:
        self.call("POST", "/_sim/persons", list(rows))

    def vanish(self, person_id: int) -> None:
        self.call("DELETE", f"/_sim/persons/{person_id}")

    def persons(self, *, offset: int = 0, limit: int = 1_000_000) -> list[JsonObject]:
        return _listed(self.call("GET", f"/_sim/persons?offset={offset}&limit={limit}"), "persons")


class TargetClient(SimClient):
    """A target system: the accounts that really exist there."""

    def accounts(self) -> list[JsonObject]:
        return _listed(self.call("GET", "/_sim/accounts"), "accounts")

    def seed(self, *accounts: JsonObject) -> list[JsonObject]:
        """Add accounts that existed before; answers them with their ids."""
        body = {"accounts": list(accounts)}
        return _listed(self.call("POST", "/_sim/accounts", body), "accounts")

    def edit(self, account_id: str, **changes: Any) -> JsonObject:
        """As an administrator does by hand."""
        body = {"where": {"id": account_id}, "changes": changes}
        return self.call("PATCH", "/_sim/accounts", body)

    def remove(self, account_id: str) -> None:
        self.call("DELETE", "/_sim/accounts", {"where": {"id": account_id}})


class MailClient(SimClient):
    """The mail catcher; SMTP is at `smtp_host`:`smtp_port`."""

    smtp_host = "127.0.0.1"

    def __init__(self, url: str, smtp_port: int) -> None:
        super().__init__(url)
        self.smtp_port = smtp_port

    def mails(self) -> list[JsonObject]:
        return _listed(self.call("GET", "/_sim/mails"), "mails")

    def clear(self) -> None:
        self.call("DELETE", "/_sim/mails")


def _listed(answer: JsonObject, name: str) -> list[JsonObject]:
    found: list[JsonObject] = answer[name]
    return found
