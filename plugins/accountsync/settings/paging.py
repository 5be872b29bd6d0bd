"""How an API hands out many rows, lot by lot."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from accountsync.settings.parts import AnswerPath, Group


class PageNumbers(Group):
    """`{{ page }}`: pages are asked for by number, several at a time."""

    kind: Literal["page_number"]
    first: int = Field(1, description="the number of the first page")
    total_pages: AnswerPath | None = None
    total_rows: AnswerPath | None = None

    @model_validator(mode="after")
    def _has_an_end(self) -> PageNumbers:
        if self.total_pages is None and self.total_rows is None:
            raise ValueError("declare total_pages or total_rows: without one, no read is complete")
        return self


class Offsets(Group):
    """`{{ offset }}`: rows are asked for by position, several lots at a time."""

    kind: Literal["offset"]
    total_rows: AnswerPath


class Cursor(Group):
    """`{{ cursor }}`: each answer says where the next begins; none there: that was the last."""

    kind: Literal["cursor"]
    next: AnswerPath
    total_rows: AnswerPath | None = None


class NextUrl(Group):
    """Each answer holds the next page's address; none there: that was the last."""

    kind: Literal["next_url"]
    next: AnswerPath
    total_rows: AnswerPath | None = None


class Link(Group):
    """A `Link` header with rel="next" (RFC 8288); none there: that was the last page."""

    kind: Literal["link"]
    total_rows: AnswerPath | None = None


class OnePage(Group):
    """One answer holds everything."""

    kind: Literal["none"]
    total_rows: AnswerPath | None = None


Paging = Annotated[
    PageNumbers | Offsets | Cursor | NextUrl | Link | OnePage, Field(discriminator="kind")
]
