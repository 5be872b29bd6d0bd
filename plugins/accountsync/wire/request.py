"""A request that the configuration declares, compiled once and rendered for each call."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
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
    query: Mapping[str, str | list[str]] = field(repr=False)
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
            headers={key: header(value) for key, value in headers.items()},
            query={key: _in_query(key, value) for key, value in query.items()},
            body=body if self._keeps_nulls else _without_none(body),
            form=self._form,
            route=self._route,
        )


def _route(path: str) -> str:
    """A declared path as everybody may see it: the values that it inserts are masked."""
    return MASK if "{%" in path else _INSERTED.sub(MASK, path)


def header(value: Any) -> str:
    """Raises InvalidPersonError for what no header can carry."""
    text = _plain(value, "a header")
    if any(character < " " or character == "\x7f" for character in text):
        raise InvalidPersonError("the value of a header holds a control character")
    return text


def _in_query(name: str, value: Any) -> str | list[str]:
    """A list becomes a parameter that is there several times."""
    place = f"the query's {name}"
    if isinstance(value, list):
        return [_plain(member, place) for member in value if member is not None]
    return _plain(value, place)


def _plain(value: Any, place: str) -> str:
    """The value where only texts can be. Raises InvalidPersonError where it is none."""
    if isinstance(value, Mapping | list | tuple | set):
        raise InvalidPersonError(f"{place}: a list or a mapping is no text; map what is in it")
    text = str(value).lower() if isinstance(value, bool) else str(value)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidPersonError(f"{place}: half a character, which cannot be sent") from None
    return text


def encoded(request: Rendered) -> tuple[str, bytes | None]:
    """Content type and body. Raises InvalidPersonError, before anything is sent."""
    if request.form:
        pairs = list(_form_pairs(request.body))
        return "application/x-www-form-urlencoded", urlencode(pairs).encode()
    try:
        return "application/json", None if request.body is None else orjson.dumps(request.body)
    except orjson.JSONEncodeError as error:
        place = ".".join(_not_encodable(request.body)) or "the whole"
        raise InvalidPersonError(
            f"the request's body, field {place}: {error}; map it as a text (`| string`)"
        ) from None


def _form_pairs(body: Any) -> Iterator[tuple[str, str]]:
    """The fields of a form: of a list, one for each member; nothing is sent as an empty text."""
    if body is not None and not isinstance(body, Mapping):
        raise InvalidPersonError("the body of a form is no mapping: lines of `name: value`")
    for name, value in (body or {}).items():
        place = f"the form's field {name}"
        for member in value if isinstance(value, list) else [value]:
            yield str(name), "" if member is None else _plain(member, place)


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


def texts_in(node: Any) -> Iterator[str]:
    """All values of a body or a query, as texts."""
    if isinstance(node, Mapping):
        node = list(node.values())
    if isinstance(node, list):
        for member in node:
            yield from texts_in(member)
    elif node is not None and not isinstance(node, bool):
        yield str(node)


def _without_none(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _without_none(value) for key, value in node.items() if value is not None}
    if isinstance(node, list):
        return [_without_none(value) for value in node]
    return node
