"""A declared request, compiled once, rendered per call."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from accountsync.domain.mapping import Context, Value, compile_tree
from accountsync.settings.parts import Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """`query` and `body` hold no None: an entry without a value is not sent."""

    method: str
    path: str
    headers: dict[str, str]
    query: dict[str, str]
    body: Any


class RequestTemplate:
    def __init__(self, request: Request, *, roots: Collection[str]) -> None:
        self._method = request.method
        self._path = compile_tree(request.path, roots=roots)
        self._headers: Value = compile_tree(request.headers, roots=roots)
        self._query: Value = compile_tree(request.query, roots=roots)
        self._body: Value = compile_tree(request.body, roots=roots)

    def render(self, context: Context) -> Rendered:
        query = _without_none(self._query(context))
        return Rendered(
            method=self._method,
            path=str(self._path(context)),
            headers=self._headers(context),
            query={key: str(value) for key, value in query.items()},
            body=_without_none(self._body(context)),
        )


def _without_none(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _without_none(value) for key, value in node.items() if value is not None}
    return node
