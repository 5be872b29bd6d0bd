"""What happens to people: `join move leave rehire rename swap_numbers`, so many of each.

Who is hit depends on the seed and on how many changes came before, on nothing else. Every event
stamps `lastUpdateDate`, and no person is hit twice by one call.

* join: a new person, hired at the event's date
* move: another department
* leave: status "2" and a disable date; with `in_days` only the date, in the future
* rehire: someone who left is valid again, with a new effective date
* rename: a new full name and reading; numbers stay
* swap_numbers: two persons exchange their employee numbers (n pairs, so 2n persons)
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from random import Random
from typing import Final

from .departments import HR_DEPARTMENTS
from .names import name_of
from .persons import Row, draws_of, row_of
from .population import Population

Changed = dict[str, list[str]]

_TRIES_PER_PERSON = 200


class EventError(Exception):
    """An event that cannot happen: an unknown kind, a bad count, nobody left to hit."""


class Event:
    """One call: the persons it already hit, its own randomness, its dates."""

    def __init__(self, people: Population, *, at: str, in_days: int = 0) -> None:
        self.people = people
        self.at = at
        self.in_days = in_days
        self.day = (datetime.fromisoformat(at) + timedelta(days=in_days)).date().isoformat()
        self.random = Random(f"{people.seed}:{people.sequence}")
        self.rows: dict[int, Row] = {}

    def pick(self, wanted: Callable[[Row], bool]) -> Row:
        """Choose a person not yet hit; try at random first, then one by one."""
        total = len(self.people)
        for _ in range(_TRIES_PER_PERSON if total else 0):
            row = self.people.row(self.random.randrange(total))
            if row["personId"] not in self.rows and wanted(row):
                return self.hit(row)
        for position in range(total):
            row = self.people.row(position)
            if row["personId"] not in self.rows and wanted(row):
                return self.hit(row)
        raise EventError("nobody is left to whom this can happen")

    def hit(self, row: Row) -> Row:
        row["lastUpdateDate"] = self.at
        self.rows[row["personId"]] = row
        return row


def happen(people: Population, counts: dict[str, int], *, at: str, in_days: int = 0) -> Changed:
    """Apply all counted events as one change and name the employee numbers hit, per kind."""
    for kind, count in counts.items():
        if kind not in KINDS or type(count) is not int or count < 0:
            raise EventError(f"not an event: {kind}={count}; known: {', '.join(KINDS)}")
    event = Event(people, at=at, in_days=in_days)
    born = people.born
    try:
        changed = {kind: _repeat(event, kind, counts[kind]) for kind in KINDS if kind in counts}
    except EventError:
        people.born = born
        raise
    people.change(put=list(event.rows.values()))
    return changed


def _repeat(event: Event, kind: str, count: int) -> list[str]:
    return [number for _ in range(count) for number in KINDS[kind](event)]


def _join(event: Event) -> list[str]:
    index = event.people.next_index()
    draws = draws_of(event.people.seed, index)
    row = event.hit(row_of(index, name_of(draws), draws))
    row.update(employeeStatus="1", disableDate=None, creationDate=event.at)
    row.update(originalHireDate=event.day, hireDate=event.day, effectiveDate=event.day)
    return [row["employeeNumber"]]


def _move(event: Event) -> list[str]:
    row = event.pick(_is_valid)
    old = row["personDept"]
    others = [code for code in HR_DEPARTMENTS if [{"department_code": code}] != old]
    row["personDept"] = [{"department_code": event.random.choice(others)}]
    return [row["employeeNumber"]]


def _leave(event: Event) -> list[str]:
    row = event.pick(lambda row: _is_valid(row) and row["disableDate"] is None)
    row.update(employeeStatus="1" if event.in_days > 0 else "2", disableDate=event.day)
    return [row["employeeNumber"]]


def _rehire(event: Event) -> list[str]:
    row = event.pick(lambda row: row["employeeStatus"] == "2")
    row.update(employeeStatus="1", disableDate=None, effectiveDate=event.day, hireDate=event.day)
    return [row["employeeNumber"]]


def _rename(event: Event) -> list[str]:
    row = event.pick(_is_valid)
    name = name_of([event.random.randrange(65_536) for _ in range(5)])
    row.update(fullName=name.full, englishName=name.english, personPinyinName=name.reading)
    return [row["employeeNumber"]]


def _swap_numbers(event: Event) -> list[str]:
    one, other = event.pick(_is_valid), event.pick(_is_valid)
    numbers = one["employeeNumber"], other["employeeNumber"]
    other["employeeNumber"], one["employeeNumber"] = numbers
    return list(numbers)


def _is_valid(row: Row) -> bool:
    return bool(row["employeeStatus"] == "1")


KINDS: Final[dict[str, Callable[[Event], list[str]]]] = {
    "join": _join,
    "move": _move,
    "leave": _leave,
    "rehire": _rehire,
    "rename": _rename,
    "swap_numbers": _swap_numbers,
}
