"""The way from page to page: places are known beforehand, or each page names the next one."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urljoin, urlsplit, urlunsplit

from accountsync.errors import IncompleteReadError
from accountsync.settings.paging import (
    Cursor,
    Link,
    NextUrl,
    Offsets,
    OnePage,
    PageNumbers,
    Paging,
)
from accountsync.wire.answer import Answer, answer_value
from accountsync.wire.request import Rendered

_LINK = re.compile(r'<([^>]*)>((?:"[^"]*"|[^,])*)')
_PARAMETER = re.compile(r';\s*([^\s=;"]+)\s*=\s*("[^"]*"|[^\s;]*)')


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """`total_pages` and `total_rows` as declared with this page; None where none are declared."""

    number: int
    rows: list[Any]
    total_pages: int | None
    total_rows: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a page is; `url`: an address the system gave, already checked."""

    page: int = 1
    offset: int = 0
    cursor: str | None = None
    url: str | None = None

    def as_context(self) -> dict[str, Any]:
        """The names under which a declared request may use it."""
        return {"page": self.page, "offset": self.offset, "cursor": self.cursor}

    def applied_to(self, request: Rendered) -> Rendered:
        """An address replaces path and query; everything else stays as declared."""
        return request if self.url is None else replace(request, path=self.url, query={})


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownPlaces:
    """`totals`: pages and rows as an answer declares them."""

    place: Callable[[int], Place]
    totals: Callable[[Answer], tuple[int, int | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Successors:
    """`following`: cursor or address of the next page, or nothing after the last one."""

    following: Callable[[Answer], Any]
    by_url: bool
    total: Callable[[Answer], Any]

    def total_rows(self, answer: Answer) -> int | None:
        return _optional_count(self.total(answer))

    def next_place(self, answer: Answer, *, answered: str) -> Place | None:
        """`answered`: the address that was asked; a relative one is meant from there (RFC 3986)."""
        successor = self.following(answer)
        if successor in (None, "", False):
            return None
        if not self.by_url:
            return Place(cursor=str(successor))
        return Place(url=_same_origin(str(successor), answered))


def route(paging: Paging, *, page_size: int) -> KnownPlaces | Successors:
    match paging:
        case PageNumbers():
            return KnownPlaces(
                place=lambda n: Place(page=paging.first + n - 1),
                totals=_totals(paging.total_pages, paging.total_rows, page_size),
            )
        case Offsets():
            return KnownPlaces(
                place=lambda n: Place(offset=(n - 1) * page_size),
                totals=_totals(None, paging.total_rows, page_size),
            )
        case Cursor():
            return _successors(answer_value(paging.next), paging.total_rows, by_url=False)
        case NextUrl():
            return _successors(answer_value(paging.next), paging.total_rows, by_url=True)
        case Link():
            return _successors(_linked, paging.total_rows, by_url=True)
        case OnePage():
            return _successors(lambda _: None, paging.total_rows, by_url=False)


def _successors(
    following: Callable[[Answer], Any], total_rows: str | None, *, by_url: bool
) -> Successors:
    return Successors(following=following, by_url=by_url, total=answer_value(total_rows or "none"))


def _totals(
    total_pages: str | None, total_rows: str | None, page_size: int
) -> Callable[[Answer], tuple[int, int | None]]:
    """Pages are counted from the rows where the system declares only those."""
    pages_of = answer_value(total_pages or "none")
    rows_of = answer_value(total_rows or "none")

    def totals(answer: Answer) -> tuple[int, int | None]:
        rows = _optional_count(rows_of(answer))
        if total_pages is not None:
            return _count(pages_of(answer), total_pages), rows
        return max(1, -(-_count(rows, total_rows) // page_size)), rows

    return totals


def _linked(answer: Answer) -> str | None:
    """RFC 8288 §3. Some systems send each link in a line of its own (RFC 9110 §5.3)."""
    lines = [value for name, value in answer.headers.items() if name.lower() == "link"]
    for url, parameters in _LINK.findall(", ".join(lines)):
        pairs = reversed(_PARAMETER.findall(parameters))  # of several `rel` the first counts
        values = {name.lower(): value for name, value in pairs}
        if "next" in values.get("rel", "").strip('"').lower().split():
            return str(url)
    return None


def _same_origin(url: str, answered: str) -> str:
    """Credentials go only to the host that was asked, whatever an answer says."""
    absolute, base = urlsplit(urljoin(answered, url)), urlsplit(answered)
    if (absolute.scheme, absolute.netloc) != (base.scheme, base.netloc):
        raise IncompleteReadError(
            "the next page's address is on another host, port or scheme; it is not followed"
        )
    return urlunsplit(absolute._replace(fragment=""))


def _count(value: Any, declared_at: str | None) -> int:
    count = _optional_count(value)
    if count is None:
        raise IncompleteReadError(f"no number of pages or rows at {declared_at} (`paging`)")
    return count


def _optional_count(value: Any) -> int | None:
    """Some APIs send counts as texts; some divide and do not round: 2.05 pages are not two."""
    if value is None or isinstance(value, bool):
        return None
    try:
        count = int(value)
    except (TypeError, ValueError) as error:
        raise IncompleteReadError("a declared count is not a number") from error
    if count < 0 or (isinstance(value, float) and count != value):
        raise IncompleteReadError(f"a declared count is {value}, no number of pages or rows")
    return count
