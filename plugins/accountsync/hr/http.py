"""An HR system with an HTTP API, as declared in the configuration."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt
from tenacity.wait import wait_exponential_jitter

from accountsync.errors import IncompleteReadError, TransientError
from accountsync.hr.proof import FeedProof
from accountsync.hr.source import Page
from accountsync.settings.hr import READ_ROOTS, ChangedSince, HttpSource
from accountsync.wire.answer import Answer, answer_condition, answer_value
from accountsync.wire.api import Api
from accountsync.wire.request import RequestTemplate

_ATTEMPTS_PER_PAGE = 5
_LONGEST_WAIT_S = 60.0


class HttpHrSource:
    """Reads page 1, then the others several at a time, then page 1 again (see FeedProof)."""

    def __init__(self, source: HttpSource, api: Api) -> None:
        self._api = api
        self._page_size = source.page_size
        self._ahead = source.rate.concurrency
        self._changed_since = source.changed_since
        self._request = RequestTemplate(source.request, roots=READ_ROOTS)
        self._success = answer_condition(source.success)
        self._records = answer_value(source.records)
        self._total_pages = answer_value(source.pages.total_pages)
        self._total_rows = answer_value(source.pages.total_rows or "none")

    async def pages(self, *, since: datetime | None) -> AsyncIterator[Page]:
        first = await self._page(1, since)
        proof = FeedProof(first, page_size=self._page_size)
        proof.add(first)
        yield first
        async for page in self._others(first.total_pages, since):
            proof.add(page)
            yield page
        proof.finish(await self._page(1, since) if first.total_pages > 1 else first)

    async def _others(self, total_pages: int, since: datetime | None) -> AsyncIterator[Page]:
        """Pages 2 … in order, some read ahead."""
        numbers = iter(range(2, total_pages + 1))
        ahead: list[asyncio.Task[Page]] = []
        try:
            while True:
                while len(ahead) < self._ahead and (number := next(numbers, None)):
                    ahead.append(asyncio.create_task(self._page(number, since)))
                if not ahead:
                    return
                yield await ahead.pop(0)
        finally:
            for task in ahead:
                task.cancel()
            await asyncio.gather(*ahead, return_exceptions=True)

    async def _page(self, number: int, since: datetime | None) -> Page:
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(TransientError),
            stop=stop_after_attempt(_ATTEMPTS_PER_PAGE),
            wait=_wait,
            reraise=True,
        ):
            with attempt:
                return await self._read_page(number, since)
        raise AssertionError("unreachable: the last attempt re-raises")

    async def _read_page(self, number: int, since: datetime | None) -> Page:
        context = {
            "conn": self._api.endpoint.as_context(),
            "page": number,
            "page_size": self._page_size,
            "since": _formatted(since, self._changed_since),
        }
        answer = await self._api.read(self._request.render(context))
        if not self._success(answer):
            raise TransientError(f"page {number}: HTTP {answer.status}, its body says failure")
        return self._as_page(number, answer)

    def _as_page(self, number: int, answer: Answer) -> Page:
        rows = self._records(answer)
        if not isinstance(rows, list):
            raise IncompleteReadError(f"page {number}: no list of records where one is declared")
        return Page(
            number=number,
            rows=rows,
            total_pages=_count(self._total_pages(answer), number),
            total_rows=_optional_count(self._total_rows(answer), number),
        )


def _wait(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after if isinstance(error, TransientError) else None
    backoff = wait_exponential_jitter(multiplier=0.2, max=10, jitter=0.2)(state)
    return min(max(asked or 0.0, backoff), _LONGEST_WAIT_S)


def _formatted(since: datetime | None, changed_since: ChangedSince | None) -> str | None:
    if since is None or changed_since is None:
        return None
    return since.astimezone(ZoneInfo(changed_since.zone)).strftime(changed_since.format)


def _count(value: Any, page: int) -> int:
    """Some APIs send counts as texts."""
    count = _optional_count(value, page)
    if count is None:
        raise IncompleteReadError(f"page {page}: the number of pages is not declared")
    return count


def _optional_count(value: Any, page: int) -> int | None:
    if value is None or isinstance(value, bool):
        return None
    try:
        return int(value)
    except (TypeError, ValueError) as error:
        raise IncompleteReadError(f"page {page}: a declared count is not a number") from error
