"""A SCIM service provider that misbehaves as it is told, for what real ones were seen to do."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote

from tests.serving import serving

Answer = tuple[int, Any]
_TERM = re.compile(r'([\w.]+) eq ("(?:[^"\\]|\\.)*")')
_MEMBER = re.compile(r'members\[value eq "(.*)"\]')


@dataclass(kw_only=True)
class Lies:
    """What it does otherwise than RFC 7644 says.

    `active_is_ignored`, by these methods. `active_as_text`. `answers_nothing`: 204 to a PATCH.
    `appends`: a replace without a path adds to a list. `fails_pathless`, `fails_paths`: the status
    of such a replace. `fails_with`: status and body of every change of a user. `member_again`: the
    status for a member that is there. `removal_ignored`: 2xx, and still a member, by these ways.
    `adds_nobody`: 2xx, and no member. `slow_groups`: a PATCH of a group is read, made and written
    without a lock. `shows_groups`, `shows_members`, `shows_keys`: of users, groups, users.
    `filters_members`: by `members.value`. `lower_case`: names, in answers. `gives_id`:
    to everybody. `etags`. `deletes_nothing`: 204, and still there.
    """

    active_is_ignored: tuple[str, ...] = ()
    active_as_text: bool = False
    answers_nothing: bool = False
    appends: bool = False
    fails_pathless: int | None = None
    fails_paths: int | None = None
    fails_with: Answer | None = None
    member_again: int | None = None
    removal_ignored: tuple[str, ...] = ()
    adds_nobody: bool = False
    slow_groups: bool = False
    shows_groups: bool = True
    shows_members: bool = True
    shows_keys: bool = True
    filters_members: bool = False
    lower_case: bool = False
    gives_id: str | None = None
    etags: bool = False
    deletes_nothing: bool = False


@dataclass(kw_only=True)
class LyingScim:
    """`calls`: method, path and body of each request. `before_change`: called once, before the next
    change of a user, as somebody else would come in between."""

    lies: Lies
    url: str = ""
    users: dict[str, dict[str, Any]] = field(default_factory=dict)
    groups: dict[str, dict[str, Any]] = field(default_factory=dict)
    calls: list[tuple[str, str, Any]] = field(default_factory=list)
    before_change: Callable[[], None] | None = None

    def user(self) -> dict[str, Any]:
        (user,) = self.users.values()
        return user

    def make_group(self, name: str, *members: str) -> None:
        self.groups[f"g-{name}"] = {
            "id": f"g-{name}",
            "displayName": name,
            "members": [{"value": member} for member in members],
        }

    def members(self, name: str) -> list[str]:
        return [one["value"] for one in self.groups[f"g-{name}"]["members"]]

    def changes(self, path: str = "") -> list[tuple[str, str, Any]]:
        return [call for call in self.calls if call[0] != "GET" and path in call[1]]

    # answers

    def answered(self, method: str, path: str, query: str, body: Any, tag: str | None) -> Answer:
        kind, _, one = path.strip("/").partition("/")
        store = {"Users": self.users, "Groups": self.groups}.get(kind)
        if kind == "ServiceProviderConfig":
            return 200, {"patch": {"supported": True}, "etag": {"supported": self.lies.etags}}
        if store is None or "/" in one:
            return 404, {}
        if method == "GET" and not one:
            return self._listed(store, query)
        if method == "POST":
            return self._made(store, body)
        if one not in store:
            return 404, {}
        if method == "GET":
            return 200, self._shown(store[one], store)
        if store is self.groups:
            return self._group_changed(one, body)
        return self._user_changed(method, one, body, tag)

    def _listed(self, store: Mapping[str, Any], query: str) -> Answer:
        asked = parse_qs(query)
        terms = _TERM.findall(asked.get("filter", [""])[0])
        wanted = [(name, json.loads(value)) for name, value in terms]
        found = [one for one in store.values() if all(self._fits(one, *term) for term in wanted)]
        start = int(asked.get("startIndex", ["1"])[0])
        page = found[start - 1 :][: int(asked.get("count", ["100"])[0])]
        shown = [self._shown(one, store) for one in page]
        return 200, {"totalResults": len(found), "startIndex": start, "Resources": shown}

    def _fits(self, one: Mapping[str, Any], name: str, value: str) -> bool:
        if name.startswith("members"):
            members = [member["value"] for member in one["members"]]
            return value in members or not self.lies.filters_members
        return str(one.get(name, "")).casefold() == value.casefold()

    def _shown(self, one: Mapping[str, Any], store: Mapping[str, Any]) -> dict[str, Any]:
        shown = deepcopy(dict(one))
        if store is self.users:
            if self.lies.active_as_text:
                shown["active"] = str(shown["active"])
            if not self.lies.shows_keys:
                shown.pop("externalId", None)
            ours = [g for g in self.groups.values() if one["id"] in self.members(g["displayName"])]
            if ours and self.lies.shows_groups:
                shown["groups"] = [{"value": g["id"], "display": g["displayName"]} for g in ours]
        elif not self.lies.shows_members or not shown["members"]:
            del shown["members"]
        return shown

    def _made(self, store: dict[str, Any], body: Any) -> Answer:
        if self.lies.fails_with:
            return self.lies.fails_with
        one = {
            **body,
            "id": self.lies.gives_id or str(len(store) + 1),
            "meta": {"version": 'W/"1"'},
        }
        if "POST" in self.lies.active_is_ignored:
            one["active"] = True
        store[one["id"]] = one
        return 201, self._shown(one, store)

    def _user_changed(self, method: str, one: str, body: Any, tag: str | None) -> Answer:
        if self.before_change:
            before, self.before_change = self.before_change, None
            before()
        user = self.users[one]
        if self.lies.fails_with:
            return self.lies.fails_with
        if self.lies.etags and tag != user["meta"]["version"]:
            return 412, {}
        if method == "DELETE":
            if not self.lies.deletes_nothing:
                del self.users[one]
            return 204, None
        before_state = user.get("active")
        if method == "PUT":
            user = self.users[one] = {**body, "id": one, "meta": user["meta"]}
        elif failed := self._patched(user, body):
            return failed, {"scimType": "invalidPath", "status": str(failed)}
        if method in self.lies.active_is_ignored:
            user["active"] = before_state
        user["meta"] = {"version": f'W/"{len(self.calls)}"'}
        return (204, None) if self.lies.answers_nothing else (200, self._shown(user, self.users))

    def _patched(self, user: dict[str, Any], body: Any) -> int | None:
        for operation in body["Operations"]:
            path, value = operation.get("path"), operation.get("value")
            is_removal = operation["op"].lower() == "remove"
            failed = self.lies.fails_paths if path else self.lies.fails_pathless
            failed = None if is_removal else failed
            if failed:
                return failed
            if path is None:
                for name, new in value.items():
                    is_list = isinstance(new, list) and self.lies.appends
                    user[name] = [*user.get(name, []), *new] if is_list else new
            elif is_removal:
                user.pop(path, None)
            else:
                place, _, part = path.partition(".")
                new = {**user.get(place, {}), part: value} if part else value
                user[place] = (
                    {"True": True, "False": False}.get(new, new) if path == "active" else new
                )
        return None

    def _group_changed(self, one: str, body: Any) -> Answer:
        members = list(self.groups[one]["members"])
        if self.lies.slow_groups:
            time.sleep(0.02)
        for operation in body["Operations"]:
            if operation["op"].lower() == "add":
                new = operation["value"][0]
                if self.lies.member_again and new in members:
                    return self.lies.member_again, {"detail": "already a member"}
                members += [] if self.lies.adds_nobody else [new]
            else:
                by_path = _MEMBER.fullmatch(operation["path"])
                way = "path" if by_path else "value"
                gone = by_path.group(1) if by_path else operation["value"][0]["value"]
                if way not in self.lies.removal_ignored:
                    members = [member for member in members if member["value"] != gone]
        self.groups[one]["members"] = members
        return 200, self._shown(self.groups[one], self.groups)


def _lowered(node: Any) -> Any:
    if isinstance(node, dict):
        return {name.lower(): _lowered(value) for name, value in node.items()}
    return [_lowered(value) for value in node] if isinstance(node, list) else node


@contextmanager
def lying(**lies: Any) -> Iterator[LyingScim]:
    service = LyingScim(lies=Lies(**lies))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body leave together

        def _handle(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            body = json.loads(raw) if raw else None
            path, _, query = self.path.partition("?")
            service.calls.append((self.command, self.path, body))
            tag = self.headers.get("If-Match")
            status, answer = service.answered(self.command, unquote(path), query, body, tag)
            if service.lies.lower_case:
                answer = _lowered(answer)
            content = b"" if answer is None else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Content-Type", "application/scim+json")
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _handle

        def log_message(self, format: str, *args: Any) -> None:
            """It would print every request."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    with serving(server):
        service.url = f"http://127.0.0.1:{server.server_port}"
        yield service
