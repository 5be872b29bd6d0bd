"""The accounts of one simulated target: unique fields, pages, and a journal on disk.

Values of unique fields are compared without regard to case. An account is a flat JSON object;
`id` is the target's own key for it and never changes.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from aiohttp import web

from .journal import Journal
from .server import read_json, reply
from .system import JsonObject

Account = dict[str, Any]


class TakenError(Exception):
    """Another account has this value in a unique field."""

    def __init__(self, field: str, value: str) -> None:
        super().__init__(f"{field} {value} is taken")
        self.field = field


class AccountBook:
    """All accounts of one target. `number` is the highest account number given out so far."""

    def __init__(self, name: str, *, unique: tuple[str, ...], state: Path | None = None) -> None:
        self._unique = unique
        self._journal = Journal(state and state / f"{name}.jsonl", {"journal": name})
        self._forget()
        for entry in self._journal.replay():
            if entry["account"] is None:
                self._drop(entry["id"])
            else:
                self._store(entry["id"], entry["account"])

    def __len__(self) -> int:
        return len(self._accounts)

    def all(self) -> Iterable[Account]:
        return self._accounts.values()

    def get(self, account_id: str) -> Account | None:
        return self._accounts.get(account_id)

    def find(self, field: str, value: object) -> Account | None:
        """Find by a unique field."""
        found = self._index[field].get(_folded(value))
        return None if found is None else self._accounts[found]

    def add(self, account: Account) -> Account:
        """Keep a new account under a new id; raises TakenError."""
        self._check(account, own_id=None)
        account_id = str(self.number + 1)
        return self._write(account_id, {**account, "id": account_id})

    def change(self, account: Account, **fields: Any) -> Account:
        """Change fields of a kept account; raises TakenError."""
        changed = {**account, **fields}
        self._check(changed, own_id=account["id"])
        return self._write(account["id"], changed)

    def remove(self, account: Account) -> None:
        self._drop(account["id"])
        self._journal.write({"id": account["id"], "account": None})

    def page(self, page: int, size: int) -> list[Account]:
        """Give page 1, 2, … in the order of creation."""
        return list(self._accounts.values())[(page - 1) * size : page * size]

    def clear(self) -> None:
        self._forget()
        self._journal.clear()

    def close(self) -> None:
        self._journal.close()

    def _forget(self) -> None:
        self.number = 0
        self.duplicates_refused = 0
        self._accounts: dict[str, Account] = {}
        self._index: dict[str, dict[str, str]] = {field: {} for field in self._unique}

    def _check(self, account: Account, *, own_id: str | None) -> None:
        for field in self._unique:
            owner = self._index[field].get(_folded(account.get(field)))
            if account.get(field) and owner not in (None, own_id):
                self.duplicates_refused += own_id is None
                raise TakenError(field, str(account[field]))

    def _write(self, account_id: str, account: Account) -> Account:
        self._store(account_id, account)
        self._journal.write({"id": account_id, "account": account})
        return account

    def _store(self, account_id: str, account: Account) -> None:
        self._unindex(account_id)
        self._accounts[account_id] = account
        self.number = max(self.number, int(account_id))
        for field in self._unique:
            if account.get(field):
                self._index[field][_folded(account[field])] = account_id

    def _drop(self, account_id: str) -> None:
        self._unindex(account_id)
        self._accounts.pop(account_id, None)

    def _unindex(self, account_id: str) -> None:
        old = self._accounts.get(account_id, {})
        for field in self._unique:
            self._index[field].pop(_folded(old.get(field)), None)

    def state(self) -> JsonObject:
        """Count for `/_sim/state`."""
        return {
            "accounts": len(self),
            "disabled": sum(not account["enabled"] for account in self.all()),
            "duplicates_refused": self.duplicates_refused,
        }


def account_routes(book: AccountBook, blank: Account) -> list[web.RouteDef]:
    """Make `GET /_sim/accounts` (all), `POST /_sim/accounts` (seed one or {"accounts": […]}), and
    what an administrator does: `PATCH /_sim/accounts` `{"where": {field: value}, "changes": {…}}`
    and `DELETE /_sim/accounts` `{"where": …}`. `where`: a unique field, or `id`.

    `blank` completes a seeded account with the fields that were not given.
    """

    async def listed(_: web.Request) -> web.Response:
        return reply({"accounts": list(book.all())})

    async def seed(request: web.Request) -> web.Response:
        body = await read_json(request)
        try:
            added = [book.add({**blank, **one}) for one in body.get("accounts", [body])]
        except TakenError as error:
            raise web.HTTPConflict(text=str(error)) from error
        return reply({"accounts": added})

    async def edit(request: web.Request) -> web.Response:
        body = await read_json(request)
        try:
            return reply(book.change(named(body["where"]), **body["changes"]))
        except TakenError as error:
            raise web.HTTPConflict(text=str(error)) from error

    async def remove(request: web.Request) -> web.Response:
        account = named((await read_json(request))["where"])
        book.remove(account)
        return reply(account)

    def named(where: JsonObject) -> Account:
        ((field, value),) = where.items()
        account = book.get(value) if field == "id" else book.find(field, value)
        if account is None:
            raise web.HTTPNotFound(text=f"no account with this {field}")
        return account

    return [
        web.get("/_sim/accounts", listed),
        web.post("/_sim/accounts", seed),
        web.patch("/_sim/accounts", edit),
        web.delete("/_sim/accounts", remove),
    ]


def page_query(request: web.Request) -> tuple[int, int]:
    """Read `?page&size` (defaults 1 and 100, size at most 1000)."""
    try:
        page, size = int(request.query.get("page", 1)), int(request.query.get("size", 100))
    except ValueError as error:
        raise web.HTTPBadRequest(text="page and size must be integers") from error
    return max(1, page), min(max(1, size), 1_000)


def _folded(value: object) -> str:
    return str(value).casefold()
