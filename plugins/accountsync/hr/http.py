"""An HR system with an HTTP API, as declared in the configuration."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import datetime, timedelta
from math import ceil, floor
from zoneinfo import ZoneInfo

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt
from tenacity.wait import wait_exponential_jitter

from accountsync.errors import IncompleteReadError, TargetDownError, TransientError
from accountsync.hr import local_time
from accountsync.hr.source import Ask
from accountsync.settings.hr import PERSON_READ_ROOTS, READ_ROOTS, ChangedSince, HttpSource
from accountsync.settings.hr_source import EPOCHS
from accountsync.wire import paging
from accountsync.wire.answer import answer_condition, answer_value
from accountsync.wire.api import Api
from accountsync.wire.page_walk import Received, all_pages
from accountsync.wire.paging import Page, Place
from accountsync.wire.request import Rendered, RequestTemplate

log = logging.getLogger(__name__)

_ATTEMPTS_PER_PAGE = 5
_LONGEST_WAIT_S = 60.0
_STEPS = (
    timedelta(0),
    timedelta(minutes=1),
    timedelta(hours=1),
    timedelta(days=1),
    timedelta(days=31),
    timedelta(days=366),
)
"""What a format may round down by, from the least to the most."""
_NO_NEXT_PAGE = "the first page is full and names no next one; is `paging` right?"


class HttpHrSource:
    """Reads everybody, page by page (wire.page_walk), or asks once for each of some persons."""

    def __init__(self, source: HttpSource, api: Api) -> None:
        self._api = api
        self._source = source
        self._request = RequestTemplate(source.request, roots=READ_ROOTS)
        self._by_number = (
            RequestTemplate(source.by_number, roots=PERSON_READ_ROOTS) if source.by_number else None
        )
        self._success = answer_condition(source.success)
        self._records = answer_value(source.records)

    def pages(self, ask: Ask) -> AsyncIterator[Page]:
        if ask.numbers is not None and self._by_number is not None:
            return self._persons(self._by_number, sorted(ask.numbers))
        return self._everybody(ask)

    async def _persons(self, request: RequestTemplate, numbers: list[str]) -> AsyncIterator[Page]:
        """A person the system does not have is an empty page, not an error."""
        conn = {"conn": self._api.endpoint.as_context()}
        for n, number in enumerate(numbers, start=1):
            received = await self._receive(request.render(conn | {"employee_number": number}), n)
            yield Page(number=n, rows=received.rows, total_pages=len(numbers), total_rows=None)

    async def _everybody(self, ask: Ask) -> AsyncIterator[Page]:
        walk = all_pages(
            paging.route(self._source.paging, page_size=self._source.page_size),
            lambda place, number: self._receive(self._render(place, ask), number),
            page_size=self._source.page_size,
            at_once=self._source.rate.concurrency,
        )
        async with aclosing(walk) as pages:
            async for page, _ in pages:
                yield page
        declares_nothing = page.total_pages is None and page.total_rows is None
        if page.number == 1 and declares_nothing and len(page.rows) == self._source.page_size:
            log.warning("event=no_next_page source=%s: %s", self._source.name, _NO_NEXT_PAGE)

    def _render(self, place: Place, ask: Ask) -> Rendered:
        context = {
            "conn": self._api.endpoint.as_context(),
            "page_size": self._source.page_size,
            "since": _since(ask.since, self._source.changed_since),
            "until": _until(ask.until, self._source.changed_since),
        }
        return place.applied_to(self._request.render(context | place.as_context()))

    async def _receive(self, request: Rendered, number: int) -> Received:
        async for attempt in AsyncRetrying(
            retry=retry_if_exception(_is_soon_over),
            stop=stop_after_attempt(_ATTEMPTS_PER_PAGE),
            wait=_wait,
            reraise=True,
        ):
            with attempt:
                return await self._receive_once(request, number)
        raise AssertionError("unreachable: the last attempt re-raises")

    async def _receive_once(self, request: Rendered, number: int) -> Received:
        answer = await self._api.read(request)
        if not self._success(answer):
            hint = "; is the request's `path` right?" if answer.status == 404 else ""
            raise TransientError(
                f"page {number}: HTTP {answer.status}, no `success: {self._source.success}`{hint}"
            )
        rows = self._records(answer)
        if not isinstance(rows, list):
            raise IncompleteReadError(
                f"page {number}: no list where `records: {self._source.records}` says"
            )
        return Received(answer=answer, rows=rows, address=self._api.address(request.path))


def _is_soon_over(error: BaseException) -> bool:
    """Whether to ask again in this read: not where more time is asked for than a read has (I13)."""
    return (
        isinstance(error, TransientError | TargetDownError)
        and _seconds_asked_for(error) <= _LONGEST_WAIT_S
    )


def _seconds_asked_for(error: BaseException | None) -> float:
    """Read from the causes, too: whoever gives the tokens may have asked for it."""
    while error is not None and not getattr(error, "retry_after", None):
        error = error.__cause__
    return error.retry_after or 0.0 if isinstance(error, TransientError) else 0.0


def _wait(state: RetryCallState) -> float:
    seconds = _seconds_asked_for(state.outcome.exception() if state.outcome else None)
    return max(seconds, wait_exponential_jitter(multiplier=0.2, max=10, jitter=0.2)(state))


def _since(moment: datetime | None, bound: ChangedSince | None) -> str | None:
    """No change at or after the moment has a lesser stamp. Where clocks are about to be put back,
    later changes get earlier stamps, so that hour is read again."""
    if moment is None or bound is None:
        return None
    if per_second := EPOCHS.get(bound.format):
        return str(floor(moment.timestamp() * per_second))
    return local_time.at_or_before(moment, ZoneInfo(bound.zone)).strftime(bound.format)


def _until(moment: datetime | None, bound: ChangedSince | None) -> str | None:
    """No change before the moment has a greater stamp. It is rounded up to whole seconds or what
    the format can tell apart. Where clocks were put forward or back, it is the later text."""
    if moment is None or bound is None:
        return None
    if per_second := EPOCHS.get(bound.format):
        return str(ceil(moment.timestamp() * per_second))
    whole = moment + timedelta(microseconds=-moment.microsecond % 1_000_000)
    return _rounded_up(local_time.at_or_after(whole, ZoneInfo(bound.zone)), bound.format)


def _rounded_up(local: datetime, format: str) -> str:
    """Not rounded where the text cannot be read again, such as one without a year."""
    wall = local.replace(tzinfo=None)
    try:
        for step in _STEPS:
            text = (local + step).strftime(format)
            if datetime.strptime(text, format).replace(tzinfo=None) >= wall:  # noqa: DTZ007
                return text
    except (ValueError, OverflowError):
        pass
    return local.strftime(format)
