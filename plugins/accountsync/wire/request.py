"""A request that the configuration declares, compiled once and rendered for each call."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import orjson

from accountsync.domain.mapping.values import Context, Value, compile_tree, compile_url_path
from accountsync.errors import InvalidPersonError
from accountsync.settings.parts import Request

MASK = "***"
Place = tuple[str, ...]
"""The way to a value in a body, by names of fields. Lists add no name."""
_INSERTED = re.compile(r"\{\{.*?\}\}", re.DOTALL)
_QUOTED = re.compile(r'"[^"]*"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """All but the method may be about a person.

    `route`: the path without any value, for everybody to see. `words`: places in the body that hold
    words of the protocol and no values.
    """

    method: str
    path: str = field(repr=False)
    headers: dict[str, str] = field(repr=False)
    query: dict[str, str] = field(repr=False)
    body: Any = field(repr=False)
    form: bool = False
    route: str = ""
    words: Collection[Place] = ()


class RequestTemplate:
    def __init__(self, request: Request, *, roots: Collection[str]) -> None:
        self._method = request.method
        self._form = request.body_as == "form"
        self._keeps_nulls = request.nulls == "send"
        self._path = compile_url_path(request.path, roots=roots)
        self._route = _route(request.path)
        self._headers: Value = compile_tree(request.headers, roots=roots)
        self._query: Value = compile_tree(request.query, roots=roots)
        self._body: Value = compile_tree(request.body, roots=roots)

    def render(self, context: Context) -> Rendered:
        headers = _without_none(self._headers(context))
        query = _without_none(self._query(context))
        body = self._body(context)
        return Rendered(
            method=self._method,
            path=self._path(context),
            headers={key: _header(value) for key, value in headers.items()},
            query={key: str(value) for key, value in query.items()},
            body=body if self._keeps_nulls else _without_none(body),
            form=self._form,
            route=self._route,
        )


def _route(path: str) -> str:
    """A declared path as everybody may see it: the values that it inserts are masked."""
    return MASK if "{%" in path else _INSERTED.sub(MASK, path)


def _header(value: Any) -> str:
    text = str(value)
    if any(character < " " or character == "\x7f" for character in text):
        raise InvalidPersonError("the value of a header holds a control character")
    return text


def encoded(request: Rendered) -> tuple[str, bytes | None]:
    """Content type and body. Raises InvalidPersonError, before anything is sent."""
    if request.form:
        return "application/x-www-form-urlencoded", urlencode(request.body).encode()
    try:
        return "application/json", None if request.body is None else orjson.dumps(request.body)
    except orjson.JSONEncodeError as error:
        place = ".".join(_not_encodable(request.body)) or "the whole"
        raise InvalidPersonError(
            f"the request's body, field {place}: {error}; map it as a text (`| string`)"
        ) from None


def _not_encodable(node: Any) -> list[str]:
    """The way to the first value that JSON cannot carry."""
    items: Iterable[tuple[Any, Any]] = ()
    if isinstance(node, dict):
        items = node.items()
    elif isinstance(node, list):
        items = enumerate(node)
    for name, value in items:
        try:
            orjson.dumps(value)
        except orjson.JSONEncodeError:
            return [str(name), *_not_encodable(value)]
    return []


def shown(request: Rendered) -> str:
    """A request as a dry run shows it: method, route and names of fields, no values (I15)."""
    parts = [request.method, request.route]
    if request.query:
        parts.append(f"with the query {masked(request.query)}")
    return " ".join(part for part in (*parts, masked(request.body, words=request.words)) if part)


def masked(body: Any, *, words: Collection[Place] = ()) -> str:
    """The shape of a body: names of fields, no values (I15)."""
    if body is None:
        return "without a body"
    return orjson.dumps(_masked(body, words, ())).decode()


def _masked(node: Any, words: Collection[Place], place: Place) -> Any:
    if isinstance(node, dict):
        return {key: _masked(value, words, (*place, key)) for key, value in node.items()}
    if isinstance(node, list):
        return [_masked(value, words, place) for value in node]
    if isinstance(node, str) and place in words:
        return _QUOTED.sub(f'"{MASK}"', node)
    return masked_value(node)


def masked_value(value: Any) -> Any:
    """Null, true and false stay as they are, for they tell nothing about anybody."""
    return value if value is None or isinstance(value, bool) else MASK


def _without_none(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _without_none(value) for key, value in node.items() if value is not None}
    if isinstance(node, list):
        return [_without_none(value) for value in node]
    return node
