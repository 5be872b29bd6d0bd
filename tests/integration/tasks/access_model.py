"""What every target must contain, as whoever makes the history knows it, never as the store does.

An account is followed by the simulator's own id of it, which nobody can change. Whose it is follows
from the phone it was made with, since every person's phone begins with digits of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

SHANGHAI = ZoneInfo("Asia/Shanghai")
TARGETS = ("idaas", "welink", "email")
KEY = {"idaas": "employeeNumber", "welink": "corpUserId", "email": "SAMAccountName"}
PHONE = {"idaas": "mobile", "welink": "mobileNumber"}
ENDED = frozenset({"left", "off", "prehire"})
"""Whoever stands so is to use no account."""

Shown = dict[str, Any]
Spot = tuple[int, str]
"""A person's id, and a target."""
Place = tuple[str, str]
"""A target, and its own id of an account."""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What HR says of one person. `is_there`: HR has the person at all."""

    id: int
    number: str
    name: str
    kind: str = "10"
    department: str = "D1110"
    revision: int = 0
    status: str = "1"
    hire: date = date(2026, 1, 5)
    leave: date | None = None
    is_there: bool = True

    @property
    def phone(self) -> str:
        return f"{phone_of(self.id)}{self.revision:04}"

    def row(self) -> Shown:
        return {
            "personId": self.id, "employeeNumber": self.number, "fullName": self.name,
            "personType": self.kind, "employeeStatus": self.status,
            "telephoneNumber1": self.phone, "originalHireDate": str(self.hire),
            "effectiveDate": str(self.hire), "disableDate": self.leave and str(self.leave),
            "personDept": [{"department_code": self.department}],
        }  # fmt: skip

    def standing(self, now: datetime) -> str:
        """By what HR says alone. Only hires that were called off end before they begin."""
        today = now.astimezone(SHANGHAI).date()
        if self.status == "2" or (self.leave and (self.leave < today or self.leave < self.hire)):
            return "left"
        if self.hire > today:
            return "prehire"
        return "leave" if self.status == "3" else "active"


def phone_of(person: int) -> str:
    return f"139{person % 10_000:04}"


@dataclass(kw_only=True)
class Rules:
    """The configuration, as far as a history edits it."""

    welink: str = "everybody"
    leaver: str = "disable"
    leave: str = "keep"
    prehire: str = "0s"

    def wanted(self, facts: Facts, target: str, now: datetime) -> str:
        """`active`, `keep` (whatever it is), or why there is to be no access: see ENDED."""
        standing = facts.standing(now)
        if standing == "left":
            return "keep" if target == "email" and self.leaver == "keep" else "left"
        is_off = target == "welink" and self.welink == "employees" and facts.kind != "10"
        if is_off:
            return "off"
        if standing == "leave":
            return "off" if target == "email" and self.leave == "disable" else "active"
        return standing


@dataclass(kw_only=True)
class Model:
    """`read`: the facts of the last complete read, or of a later one of changes; `planned`: those
    that the last plan knew. `lacking`: who was in no complete read since. `strangers`: accounts
    given to somebody else by hand, as they were left."""

    rules: Rules = field(default_factory=Rules)
    read: dict[int, Facts] = field(default_factory=dict)
    planned: dict[int, dict[str, str]] = field(default_factory=dict)
    lacking: set[int] = field(default_factory=set)
    shown: dict[str, dict[str, Shown]] = field(default_factory=lambda: {t: {} for t in TARGETS})
    owners: dict[Place, int | None] = field(default_factory=dict)
    logins: dict[str, int | None] = field(default_factory=dict)
    strangers: dict[Place, Shown] = field(default_factory=dict)
    shut: set[Place] = field(default_factory=set)
    """Disabled by somebody else while it was usable: not ours to enable."""
    opened: set[Place] = field(default_factory=set)
    """Enabled or made by somebody else, and nobody has looked since."""
    touched: set[Spot] = field(default_factory=set)
    refused: set[Spot] = field(default_factory=set)
    """A human refused that access ends."""
    given_up: set[Spot] = field(default_factory=set)
    """A human refused something else."""
    contested: set[int] = field(default_factory=set)
    """Persons whose number was another person's before."""
    renumbered: set[int] = field(default_factory=set)
    """Whose number was another one before: in welink that is a rename, which it does not offer, so
    that nothing else changes there until a human has done it."""
    wrong: list[str] = field(default_factory=list)

    def diverges(self, kind: str, text: str) -> None:
        self.wrong.append(f"{kind}: {text}")

    def plan(self, now: datetime) -> None:
        self.planned = {
            person: {target: self.rules.wanted(facts, target, now) for target in TARGETS}
            for person, facts in self.read.items()
        }

    def see(self, target: str, accounts: list[Shown], *, by_us: bool) -> None:
        """What the target contains now; `by_us`: nobody else has changed anything since."""
        before = self.shown[target]
        self.shown[target] = {account["id"]: account for account in accounts}
        for account in accounts:
            place = (target, account["id"])
            if place not in self.owners:
                self.owners[place] = self._owner_of(target, account)
            if target == "idaas":
                self.logins.setdefault(account["userName"], self.owners[place])
        if by_us:
            for account in accounts:
                place = (target, account["id"])
                self._judge_change(place, before.get(account["id"]), account)
            for account_id in before.keys() - self.shown[target].keys():
                self.diverges("deleted", f"{target}/{account_id} {before[account_id]}")

    def _owner_of(self, target: str, account: Shown) -> int | None:
        if target == "email":
            return self.logins.get(account["SAMAccountName"])
        return next(
            (p for p in self.read if str(account.get(PHONE[target])).startswith(phone_of(p))), None
        )

    def _judge_change(self, place: Place, before: Shown | None, after: Shown) -> None:
        target, owner = place[0], self.owners[place]
        if place in self.strangers:
            if after != self.strangers[place]:
                self.diverges("stranger", f"{place}: {self.strangers[place]} -> {after}")
            return
        if before == after:
            return
        if owner is None:
            self.diverges("nobody's", f"{place}: {before} -> {after}")
            return
        if target in PHONE and not str(after.get(PHONE[target])).startswith(phone_of(owner)):
            self.diverges("mixed", f"{place} of {owner}: {before} -> {after}")
        if before is None:
            self._judge_given(place, owner, "made", is_usable=after["enabled"])
            self._judge_alone(target, owner)
        elif after["enabled"] and not before["enabled"]:
            self._judge_given(place, owner, "enabled", is_usable=True)

    def _judge_given(self, place: Place, owner: int, what: str, *, is_usable: bool) -> None:
        wanted = self.planned.get(owner, {}).get(place[0], "unknown")
        if owner in self.lacking:
            self.diverges("lacking", f"{what} {place} for {owner}, whom HR lacks")
        elif wanted not in ("active", "prehire") or (is_usable and wanted == "prehire"):
            self.diverges("given", f"{what} {place} for {owner}, who is {wanted}")
        if what == "enabled" and place in self.shut:
            self.diverges("shut", f"{what} {place} of {owner}, which others had disabled")

    def _judge_alone(self, target: str, owner: int) -> None:
        places = self.places(target, owner)
        if len(places) > 1:
            self.diverges("two", f"{owner} in {target}: {[self.at(place) for place in places]}")

    def at(self, place: Place) -> Shown:
        return self.shown[place[0]][place[1]]

    def places(self, target: str, owner: int) -> list[Place]:
        """The accounts that are surely the person's."""
        own = ((target, account_id) for account_id in self.shown[target])
        return [p for p in own if self.owners[p] == owner and p not in self.strangers]

    def open_ones(self, now: datetime, *, looked: bool) -> Iterator[tuple[Facts, Place, str]]:
        """Accounts that can be used and should not be; unless all was `looked` at, without those
        that others have opened since."""
        for person, facts in self.read.items():
            for target in TARGETS:
                wanted = self.rules.wanted(facts, target, now)
                if wanted not in ENDED or self.is_unclear(facts):
                    continue
                for place in self.places(target, person):
                    if self.at(place)["enabled"] and (looked or place not in self.opened):
                        yield facts, place, wanted

    def is_unclear(self, facts: Facts) -> bool:
        """Whether the person came back or was never here: an account that somebody touched by hand
        may have been used."""
        is_called_off = facts.leave is not None and facts.leave < facts.hire
        return is_called_off and any((facts.id, target) in self.touched for target in TARGETS)

    def judge_listed(self, now: datetime, listed: set[tuple[str, str]]) -> None:
        """Nobody's access is silently forgotten (I17)."""
        for facts, place, wanted in self.open_ones(now, looked=False):
            target = place[0]
            if (facts.number, target) in listed or (facts.id, target) in self.given_up:
                continue
            self.diverges("forgotten", f"{facts.number} ({facts.id}) {wanted}: {self.at(place)}")

    def judge_planned(self, now: datetime, *, held: set[Spot]) -> None:
        """What the last plan took away is asked for until it is so, by no plan (I17)."""
        for person, wanted in self.planned.items():
            facts = self.read[person]
            for target, why in wanted.items():
                spot = (person, target)
                if why not in ENDED or spot in self.refused | self.given_up | held:
                    continue
                for place in self.places(target, person):
                    if self.at(place)["enabled"] and place not in self.opened:
                        self.diverges("let be", f"{facts.number} {person} {why}: {self.at(place)}")

    def judge_open(self, now: datetime, *, looked: bool) -> None:
        """Access has ended, unless a human wanted it not to (I17)."""
        for facts, place, wanted in self.open_ones(now, looked=looked):
            if (facts.id, place[0]) in self.refused:
                continue
            if looked or (facts.id, place[0]) not in self.given_up:
                self.diverges("open", f"{facts.number} ({facts.id}) {wanted}: {self.at(place)}")

    def judge_end(self, now: datetime) -> None:
        self.judge_open(now, looked=True)
        for facts in self.read.values():
            if not self._is_exempt(facts):
                self._judge_entitled(facts, now)

    def _is_exempt(self, facts: Facts) -> bool:
        spots = {(facts.id, target) for target in TARGETS}
        by_hand = self.touched | self.refused | self.given_up
        return bool(facts.id in self.contested | self.lacking or spots & by_hand)

    def _judge_entitled(self, facts: Facts, now: datetime) -> None:
        for target in TARGETS:
            if self.rules.wanted(facts, target, now) != "active":
                continue
            usable = [self.at(p) for p in self.places(target, facts.id) if self.at(p)["enabled"]]
            if len(usable) != 1:
                self.diverges("without", f"{facts.number} ({facts.id}) in {target}: {usable}")
            elif target == "welink" and facts.id in self.renumbered:
                continue
            elif unlike := _unlike(target, facts, usable[0]):
                self.diverges("data", f"{facts.number} ({facts.id}) in {target}: {unlike}")


def _unlike(target: str, facts: Facts, shown: Shown) -> Mapping[str, Any]:
    wanted = {
        "idaas": {"name": facts.name, "mobile": facts.phone},
        "welink": {"userNameCn": facts.name, "mobileNumber": facts.phone},
        "email": {},
    }[target]
    return {name: shown.get(name) for name, value in wanted.items() if shown.get(name) != value}


def changed(facts: Facts, **fields: Any) -> Facts:
    return replace(facts, **fields)
