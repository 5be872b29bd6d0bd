"""Histories of HR facts, dates, mappings and rules through the real planner, store and queue, with
a processor that always succeeds; tests/unit/domain/plans/test_histories.py has more of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import count
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from accountsync.domain.accounts.account import RemoteAccount
from accountsync.domain.plans.risks import Risk
from accountsync.domain.tasks.outcomes import Result, succeeded
from accountsync.jobs.plans import held_plans
from accountsync.jobs.tasks.operations import with_late_bound
from accountsync.settings import Settings
from accountsync.store.tasks import claimed_tasks, recording
from accountsync.store.tasks.claimed_tasks import Claim
from tests.installation import example_settings
from tests.integration.plans.planned_people import People

FEW = settings(
    max_examples=10, deadline=None, database=None, derandomize=True, print_blob=False,
    suppress_health_check=list(HealthCheck), phases=[Phase.generate],
)  # fmt: skip
LEASE = timedelta(minutes=5)
DAY = timedelta(days=1)
_MANY = {"count": 10_000, "percent": 100}
_UNGUARDED = dict.fromkeys((*Risk, "budget_24h", "budget_7d", "budget_30d"), _MANY)
_LOW = {
    "disable": {"count": 3, "percent": 0}, "hard_percent": 100,
    "budget_24h": {"count": 4, "percent": 0}, "budget_7d": {"count": 6, "percent": 0},
    "budget_30d": {"count": 6, "percent": 0},
    # HR gives no dates of hire here
    "create": _MANY | {"budget_24h": _MANY, "budget_7d": _MANY, "budget_30d": _MANY},
}  # fmt: skip
_SCOPES = {
    "employees": "person.status in valid_statuses and person.person_type == '10'",
    "everybody": "person.status in valid_statuses",
    "nobody": "false",
}


@cache
def rules(welink: str, guard: str = "none") -> Settings:
    """WeLink comes after the mailbox, which needs IDaaS; e-mail addresses follow renames."""
    address = "{{ person.full_name | pinyin }}@{{ person.type.email_domain }}"
    return example_settings(
        names={
            "username": "{{ person.full_name | pinyin_initial }}{{ person.employee_number }}",
            "mail_alias": {"value": "{{ person.full_name | pinyin }}", "on_rename": "follow"},
            "email": {"value": address, "on_rename": "follow"},
        },
        targets={
            "idaas": {"preset": "idaas", "conn_id": "idaas", "prehire": "72h"},
            "welink": {
                "preset": "welink", "conn_id": "welink", "after": ["email"],
                "scope": _SCOPES[welink],
            },
            "email": {
                "preset": "exchange_mailbox", "conn_id": "exchange", "depends_on": ["idaas"],
                "leave": "disable", "delete_after": "120h",
            },
        },
        guard=_LOW if guard == "low" else _UNGUARDED | {"hard_percent": 100},
    )  # fmt: skip


_CLOCK = count()


@dataclass(kw_only=True)
class Office:
    """Three new people for each example; whoever was there before stays, settled."""

    people: People
    now: datetime = field(
        default_factory=lambda: datetime(2027, 1, 4, 9, tzinfo=UTC) + next(_CLOCK) * 500 * DAY
    )
    numbers: list[str] = field(default_factory=list)

    def hire(self, *names: str, **facts: Any) -> None:
        for name in names:
            number = f"{self.now:%Y%j}{len(self.numbers)}"
            self.people.add(number, name)
            self.numbers.append(number)
            self.hr(number, {"hire_date": None} | facts)

    def hr(self, number: str, facts: dict[str, Any]) -> None:
        self.people.change(number, **facts)

    def plan(self) -> Any:
        return self.people.plan(now=self.now)

    def work(self, *targets: str) -> int:
        done = 0
        for target in targets:
            done += self._work(target)
        return done + self.work(*targets) if done else 0

    def _work(self, target: str) -> int:
        """Claims and results as the processor's, in two transactions."""
        facts = {"target": target, "worker": "w", "now": self.now}
        with self.people.engine.begin() as connection:
            claims = claimed_tasks.claim(connection, limit=50, lease=LEASE, **facts)
        results = [self._result(target, claim) for claim in claims]
        with self.people.engine.begin() as connection:
            recording.record(connection, results=results, **facts)
        return len(results)

    def _result(self, target: str, claim: Claim) -> Result:
        attributes = with_late_bound(claim)
        task = claim.as_task(attributes)
        named = str(attributes[self.people.settings.targets[target].identifier])
        made = RemoteAccount(identifier=named, remote_id=None, ours=True)
        return succeeded(task, None if task.operation == "delete" else made)

    def settle(self) -> None:
        for _ in range(8):
            planned = self.plan().counts
            if not self.work(*self.people.settings.targets) and not planned:
                return
        raise AssertionError("never comes to rest")


def _import(people: People, kind: str, *, active: bool) -> None:
    people.execute(
        "UPDATE accountsync.person_type_mapping SET active = :active WHERE person_type = :kind",
        kind=kind, active=active,
    )  # fmt: skip
    people.execute("UPDATE accountsync.person SET planned_revision = 0 WHERE person_type = :kind",
                   kind=kind)  # fmt: skip


OFFSETS = st.none() | st.integers(-9, 12)
FACTS = st.one_of(
    st.tuples(st.sampled_from(["hire_date", "leave_date"]), OFFSETS),
    st.tuples(st.just("status"), st.sampled_from(["1", "9"])),
    st.tuples(st.just("person_type"), st.sampled_from(["10", "11", "77"])),
    st.tuples(st.just("full_name"), st.sampled_from(["张伟", "章伟", "李娜"])),
    st.tuples(st.just("department_code"), st.sampled_from(["D1110", "D1120", "nowhere"])),
)
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("hr"), st.tuples(st.integers(0, 2), FACTS)),
        st.tuples(st.just("hours"), st.integers(1, 24 * 9)),
        st.tuples(st.just("mapping"), st.booleans()),
        st.tuples(st.just("rules"), st.sampled_from(sorted(_SCOPES))),
        st.tuples(st.just("work"), st.sampled_from([("idaas",), ("email", "welink")])),
    ),
    min_size=1,
    max_size=5,
)


def happens(office: Office, kind: str, what: Any) -> None:
    if kind == "hr":
        who, (field_name, value) = what
        if field_name.endswith("_date") and value is not None:
            value = (office.now + value * DAY).date()
        office.hr(office.numbers[who], {field_name: value})
    elif kind == "hours":
        office.now += timedelta(hours=what)
    elif kind == "mapping":
        _import(office.people, "11", active=what)
    elif kind == "rules":
        office.people.settings = rules(what)
    else:
        office.work(*what)


@FEW
@given(events=EVENTS, starts=OFFSETS)
def test_any_history_comes_to_rest_and_gives_no_name_twice(
    people: People, events: list[tuple[str, Any]], starts: int | None
) -> None:
    """I6, I8, I9, and that planning what changed finds what planning everybody finds."""
    people.settings = rules("employees")
    office = Office(people=people)
    office.hire("张伟", "章伟", "张伟")
    for kind, what in [("hr", (0, ("hire_date", starts))), *events]:
        happens(office, kind, what)
        office.plan()
    for _ in range(3):
        office.settle()
        people.execute("UPDATE accountsync.person SET planned_revision = 0")
        assert office.plan().counts == {}
        assert not unexplained(people)
        assert not names_of_two(people)
        office.now = next_date(people) or office.now


def unexplained(people: People) -> list[Any]:
    return people.rows(
        "SELECT state, cause, waits_for FROM accountsync.account_task WHERE finished_at IS NULL"
        " AND NOT (state = 'needs_data' AND coalesce(cause, cause_kind) IS NOT NULL)"
        " AND state <> 'waiting'"
    )


def names_of_two(people: People) -> list[Any]:
    """Names that were ever meant for a target, and those who were to have them."""
    return people.rows(
        "SELECT name, array_agg(DISTINCT person_id) AS persons FROM accountsync.account_task,"
        " LATERAL (VALUES (desired->>'userName'), (desired->>'email'), (desired->>'userEmail'),"
        "  (desired->>'EmailAddress'), (desired->>'Alias')) AS given (name)"
        " WHERE name IS NOT NULL GROUP BY name HAVING count(DISTINCT person_id) > 1"
    )


def next_date(people: People) -> Any:
    (row,) = people.rows("SELECT min(next_evaluation_at) AS at FROM accountsync.person")
    return row["at"]


LEAKS = st.lists(st.tuples(st.integers(1, 60), st.integers(0, 3)), min_size=4, max_size=7)


@settings(parent=FEW, max_examples=4)
@given(leaks=LEAKS)
def test_the_budgets_hold_whatever_the_rhythm_of_a_leak(
    people: People, leaks: list[tuple[int, int]]
) -> None:
    """I7: never more than 3 at once, 4 within 24 hours and 6 within 7 days without a human; who
    joins meanwhile joins."""
    people.settings = rules("employees", guard="low")
    office = Office(people=people)
    office.hire(*["李娜"] * sum(leavers for _, leavers in leaks))
    office.settle()
    going = iter(list(office.numbers))
    for hours, leavers in leaks:
        office.now += timedelta(hours=hours)
        for _ in range(leavers):
            office.hr(next(going), {"status": "9"})
        office.hire("张伟")
        assert office.plan().counts["idaas"]["ready"] >= 1
        office.work("idaas", "email", "welink")
    for window, most in (("0 hours", 3), ("24 hours", 4), ("7 days", 6), ("30 days", 6)):
        assert not more_than(people, most, window)
    for plan in held_plans.list_held(engine=people.engine):
        facts: dict[str, Any] = {"actor": "ann", "comment": "seen", "now": office.now}
        held_plans.approve(engine=people.engine, settings=people.settings, plan=plan.id, **facts)
    office.settle()


def more_than(people: People, most: int, window: str) -> list[Any]:
    """Disables let through without a human, counted back from each of them."""
    passed = (
        "(SELECT system, created_at AS at FROM accountsync.account_task WHERE operation = 'disable'"
        " AND approved_at IS NULL AND state NOT IN ('held', 'superseded', 'cancelled')) "
    )
    return people.rows(
        f"SELECT a.system, a.at, count(*) AS n FROM (SELECT DISTINCT * FROM {passed} x) a JOIN"
        f" {passed} b ON b.system = a.system AND b.at <= a.at"
        "  AND (b.at > a.at - CAST(:window AS interval) OR b.at = a.at)"
        " GROUP BY 1, 2 HAVING count(*) > :most",
        window=window, most=most,
    )  # fmt: skip
