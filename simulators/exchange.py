"""The mailbox service in front of Exchange (PREDECESSOR §3). Only EnableMailbox is documented.

Every call is `POST /api/Exchange/<Verb>` with `{"<Verb>List": [item…]}` (or one item as the body,
as in `{"SAMAccountName": "z00100001"}`) and answers HTTP 200 with
`{"jsonValue": {"success": [mailbox…], "fail": [{…item, "Message"}…]}}`.

* EnableMailbox `SAMAccountName, Alias`: makes a mailbox, or wakes a disabled one
* GetMailbox, DisableMailbox, RemoveMailbox `SAMAccountName`; ConnectMailbox the same: wakes a
  disabled one, makes none
* SetMailbox `SAMAccountName` and any of `Alias`, `EmailAddress`, and fields of your own
* `GET /api/Exchange/mailboxes?page&size` → the same shape plus `"total", "page", "size"`

A mailbox is `{"SAMAccountName", "Alias", "EmailAddress", "Enabled"}`; its address is
Alias@domain. Unique: SAMAccountName, Alias, EmailAddress. A SAM account that the directory does not
know is refused. A missing or wrong `Authorization` is HTTP 401 with the fail shape, without items.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiohttp import web

from . import credentials
from .accounts import Account, AccountBook, TakenError, account_routes, page_query
from .server import make_app, read_json, reply
from .system import JsonObject, System

EXCHANGE_UNIQUE = ("SAMAccountName", "Alias", "EmailAddress")
_ROOT = "/api/Exchange"
_KEEP = ("SAMAccountName", "id", "enabled")


def refuse(body: JsonObject, _: Any, message: str) -> JsonObject:
    """Fail every item of the request."""
    return _answer([], [{**item, "Message": message} for item in _items(body)])


def make_exchange(
    book: AccountBook, *, email_domain: str, knows_sam_account: Callable[[str], bool]
) -> web.Application:
    """Build the Exchange application; the callback says whether the directory has an account."""
    exchange = _Exchange(book, email_domain, knows_sam_account)
    system = System(
        name="exchange", refuse=refuse, state=book.state, reset=book.clear, close=book.close
    )
    verbs = {
        "EnableMailbox": exchange.enable,
        "GetMailbox": exchange.find,
        "SetMailbox": exchange.set,
        "ConnectMailbox": exchange.connect,
        "DisableMailbox": exchange.disable,
        "RemoveMailbox": exchange.remove,
    }
    return make_app(
        system,
        [
            *(web.post(f"{_ROOT}/{name}", _each_item(act)) for name, act in verbs.items()),
            web.get(f"{_ROOT}/mailboxes", exchange.list_mailboxes),
            *account_routes(book, {"enabled": True}),
        ],
    )


class _RefusedError(Exception):
    """One item of a request cannot be done."""


class _Exchange:
    def __init__(
        self, book: AccountBook, email_domain: str, knows_sam_account: Callable[[str], bool]
    ) -> None:
        self.book = book
        self.email_domain = email_domain
        self.knows_sam_account = knows_sam_account

    def enable(self, item: JsonObject) -> Account:
        sam, alias = item.get("SAMAccountName"), item.get("Alias")
        if not sam or not alias:
            raise _RefusedError("SAMAccountName and Alias are required")
        if not self.knows_sam_account(sam):
            raise _RefusedError(f"SAMAccountName {sam} not found in the directory")
        known = self.book.find("SAMAccountName", sam)
        if known is not None and not known["enabled"]:
            return self.book.change(known, enabled=True)
        address = f"{alias}@{self.email_domain}"
        fields = {"SAMAccountName": sam, "Alias": alias, "EmailAddress": address}
        return self.book.add({**fields, "enabled": True})

    def find(self, item: JsonObject) -> Account:
        sam = item.get("SAMAccountName")
        account = self.book.find("SAMAccountName", sam)
        if account is None:
            raise _RefusedError(f"mailbox of {sam} not found")
        return account

    def set(self, item: JsonObject) -> Account:
        fields = {name: value for name, value in item.items() if name not in _KEEP}
        if "Alias" in fields:
            fields.setdefault("EmailAddress", f"{fields['Alias']}@{self.email_domain}")
        return self.book.change(self.find(item), **fields)

    def connect(self, item: JsonObject) -> Account:
        return self.book.change(self.find(item), enabled=True)

    def disable(self, item: JsonObject) -> Account:
        return self.book.change(self.find(item), enabled=False)

    def remove(self, item: JsonObject) -> Account:
        account = self.find(item)
        self.book.remove(account)
        return account

    async def list_mailboxes(self, request: web.Request) -> web.Response:
        if not _is_authorized(request):
            return reply(refuse({}, None, ""), status=401)
        page, size = page_query(request)
        mailboxes = [_mailbox(account) for account in self.book.page(page, size)]
        total = len(self.book)
        return reply({**_answer(mailboxes, []), "total": total, "page": page, "size": size})


def _each_item(act: Callable[[JsonObject], Account]) -> Callable[[web.Request], Any]:
    """Make a handler that acts on every item and sorts them into success and fail."""

    async def handle(request: web.Request) -> web.Response:
        if not _is_authorized(request):
            return reply(refuse({}, None, ""), status=401)
        success, fail = [], []
        for item in _items(await read_json(request)):
            try:
                success.append(_mailbox(act(item)))
            except TakenError as error:
                fail.append({**item, "Message": f"mailbox already exists: {error}"})
            except _RefusedError as error:
                fail.append({**item, "Message": str(error)})
        return reply(_answer(success, fail))

    return handle


def _is_authorized(request: web.Request) -> bool:
    return request.headers.get("Authorization") == credentials.EXCHANGE_AUTHORIZATION


def _items(body: JsonObject) -> list[JsonObject]:
    lists = [value for name, value in body.items() if name.endswith("List")]
    items = lists[0] if lists else [body] if body else []
    return [item for item in items if isinstance(item, dict)]


def _mailbox(account: Account) -> JsonObject:
    fields = {name: value for name, value in account.items() if name not in ("id", "enabled")}
    return {**fields, "Enabled": account["enabled"]}


def _answer(success: list[JsonObject], fail: list[JsonObject]) -> JsonObject:
    return {"jsonValue": {"success": success, "fail": fail}}
