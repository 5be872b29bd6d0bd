"""Plans as they are shown: what each does by target and operation, and what the guard held."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping

from accountsync.domain import reasons
from accountsync.domain.reasons import Kind, Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanLine:
    """What a plan does by one operation in one target; what of it the guard holds has a line of its
    own, and so has what is asked about once more.

    `tasks`: how many, `held` of them by the guard, for `held_because` · `reasons`: the rule that
    asks for it → tasks · `examples`: employee numbers of those who are known longest.
    """

    target: str
    operation: str
    tasks: int
    held: int
    reasons: Mapping[str, int]
    examples: Sequence[str]
    held_because: Sequence[Reason]

    @property
    def is_asked_again(self) -> bool:
        """Whether it is about leavers of whom it was rejected once that their access ends."""
        return any(reason.kind is Kind.REJECTED_ONCE for reason in self.held_because)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanView:
    """`counts`: target → task state → tasks, as they were when it was written, and so are `lines` ·
    `held`: those that still wait for a human · `content_hash`: of all that it does."""

    id: int
    airflow_run_id: str | None
    state: str
    persons: int
    counts: Mapping[str, Mapping[str, int]]
    lines: Sequence[PlanLine]
    held: int
    content_hash: str | None
    reviewed_by: str | None
    comment: str | None
    created_at: datetime

    @property
    def tasks(self) -> int:
        return sum(number for states in self.counts.values() for number in states.values())


def as_documents(lines: Iterable[PlanLine]) -> list[dict[str, Any]]:
    """As the store keeps them, where a target is called as its columns are: `system`."""
    return [_document(line) for line in lines]


def _document(line: PlanLine) -> dict[str, Any]:
    document = asdict(line) | {"held_because": reasons.as_documents(line.held_because)}
    return {"system": document.pop("target"), **document}


def from_row(row: RowMapping) -> PlanView:
    shown = {name: row[name] for name in PlanView.__slots__ if name != "lines"}
    return PlanView(**shown, lines=[_line(document) for document in row["lines"]])


def _line(document: Mapping[str, Any]) -> PlanLine:
    because = reasons.from_documents(document["held_because"])
    own = {name: value for name, value in document.items() if name != "system"}
    return PlanLine(**{**own, "target": document["system"], "held_because": because})
