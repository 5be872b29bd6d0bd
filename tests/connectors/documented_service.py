"""Little services as docs/targets.md describes them: a help desk, a CRM, and WeCom's address book.

Each is a book of accounts (`simulators/accounts.py`) behind the paths and answers that the page
declares, so that its examples are run as they stand there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from simulators.accounts import Account, AccountBook, TakenError
from tests.serving import serving

Answer = tuple[int, Any]
Service = Callable[[AccountBook, str, str, Mapping[str, str], Any], Answer]
"""(book, method, path, query, body) → status and body. Every header is taken as a part of the
query, for tokens may be in either."""

UNIQUE = {"helpdesk": ("number", "login"), "crm": ("number", "login"), "wecom": ("userid",)}
_MISSING: Answer = (404, {"error": {"code": "E404"}})


@contextmanager
def running(name: str) -> Iterator[tuple[str, AccountBook]]:
    """The address of the service, and its accounts."""
    book = AccountBook(name, unique=UNIQUE[name])
    service = _SERVICES[name]

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _handle(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            url = urlsplit(self.path)
            facts = {**dict(parse_qsl(url.query)), "auth": self.headers.get("Authorization", "")}
            body = json.loads(raw) if raw else None
            status, answer = service(book, self.command, url.path, facts, body)
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        do_GET = do_POST = do_PATCH = do_DELETE = do_HEAD = _handle

        def log_message(self, format: str, *args: Any) -> None:
            """It would print every request."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    with serving(server):
        yield f"http://127.0.0.1:{server.server_port}", book


def _helpdesk(
    book: AccountBook, method: str, path: str, facts: Mapping[str, str], body: Any
) -> Answer:
    if path == "/token":
        return 200, {"ok": body["secret"] == "s3cret", "token": "t1", "seconds": 3600}
    if facts["auth"] != "Bearer t1":
        return 401, {}
    account = book.get(path.removeprefix("/agents/")) if path != "/agents" else None
    try:
        if method == "POST":
            return 201, {"ok": True, **book.add(body)}
        if path == "/agents":
            return 200, _agents(book, facts)
        if account is None:
            return _MISSING
        if method == "PATCH":
            return 200, book.change(account, **body)
        if method == "DELETE":
            book.remove(account)
        return 200, account
    except TakenError:
        return 409, {"error": {"code": "E409"}}


def _agents(book: AccountBook, facts: Mapping[str, str]) -> Any:
    if "number" in facts:
        found = book.find("number", facts["number"])
        return {"agents": [found] if found else []}
    return {"agents": book.page(int(facts["page"]), int(facts["size"])), "total": len(book)}


def _crm(book: AccountBook, method: str, path: str, facts: Mapping[str, str], body: Any) -> Answer:
    if not facts["auth"].startswith("Basic ") or path != "/users":
        return 404, None
    if method == "POST":
        return 201, book.add(body)
    found = book.find("number", facts["number"])
    return 200, [found] if found else []


def _wecom(
    book: AccountBook, method: str, path: str, facts: Mapping[str, str], body: Any
) -> Answer:
    if path == "/cgi-bin/gettoken":
        is_known = facts["corpsecret"] == "s3cret"
        return 200, {"errcode": 0 if is_known else 40001, "access_token": "t1", "expires_in": 7200}
    if facts.get("access_token") != "t1":
        return 200, {"errcode": 40014}
    number = facts["userid"] if method == "GET" else body["userid"]
    account = book.find("userid", number)
    if path.endswith("/create"):
        return 200, {"errcode": 60102} if account else _made(book, body)
    if account is None:
        return 200, {"errcode": 60111}
    if path.endswith("/update"):
        book.change(account, **body)
        return 200, {"errcode": 0}
    return 200, {"errcode": 0, **account, "status": 1 if account["enable"] else 2}


def _made(book: AccountBook, body: Account) -> Any:
    book.add(body)
    return {"errcode": 0}


_SERVICES: Mapping[str, Service] = {"helpdesk": _helpdesk, "crm": _crm, "wecom": _wecom}
