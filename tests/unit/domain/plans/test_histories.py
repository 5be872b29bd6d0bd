"""Any history of HR facts, dates and rules, planned and carried out: it comes to rest where it
should, and stays there."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from accountsync.domain.accounts.account import TAKES_AWAY, US, Account
from accountsync.domain.mapping.values import compile_condition, compile_tree
from accountsync.domain.persons.lifecycle import Standing, Statuses, standing
from accountsync.domain.persons.person import Unavailable
from accountsync.domain.plans import planning
from accountsync.domain.plans.desired import TargetRule
from accountsync.domain.plans.entitlement import Policy, Wanted, wanted
from accountsync.domain.plans.steps import OpenTask, PlannedTask, Step, step
from accountsync.domain.task_states import IN_DOUBT

START = datetime(2026, 3, 2, 12, tzinfo=UTC)
DAY = timedelta(days=1)
STATUSES = Statuses(zone="Asia/Shanghai", leave=["L"], left=["X"])
ROOTS = {"person", "names", "accounts"}
SCOPES = {
    "employees": "person.person_type == '10'",
    "everybody": "true",
    "nobody": "false",
}
LATE = {"login": "accounts.directory.identifier"}


def a_rule(name: str, scope: str, attributes: dict[str, Any], **facts: Any) -> TargetRule:
    late = facts.get("late", {})
    return TargetRule(
        name=name,
        in_scope=compile_condition(scope, roots={"person"}),
        attributes={key: compile_tree(node, roots=ROOTS) for key, node in attributes.items()},
        late_values={key: compile_tree(node, roots=ROOTS) for key, node in late.items()},
        **{"depends_on": (), "late": {}} | facts,
    )


DIRECTORY = a_rule(
    "directory", "person.person_type in ('10', '11')",
    {"login": "names.login", "department": "person.department_code"},
    identifier="login", policy=Policy(prehire=3 * DAY),
)  # fmt: skip
MAIL = a_rule(
    "mail", "person.person_type in ('10', '11')",
    {"mail": "names.login", "kind": "person.type.kind"},
    late=LATE, depends_on=("directory",), identifier="mail",
    policy=Policy(leave_keeps=False, delete_after=5 * DAY),
)  # fmt: skip
CHATS = {
    name: a_rule("chat", scope, {"id": "names.login"}, after=("mail",), identifier="id",
                 policy=Policy(leaver_keeps=True))
    for name, scope in SCOPES.items()
}  # fmt: skip


@dataclass
class Desk:
    """One person in three targets: planned by the rules, carried out by a processor that never
    fails. `security`: where somebody else has disabled the account."""

    now: datetime = START
    chat: str = "employees"
    mapped: bool = True
    facts: dict[str, Any] = field(default_factory=lambda: dict(JOINER))
    accounts: dict[str, Account] = field(default_factory=dict)
    tasks: dict[str, OpenTask] = field(default_factory=dict)

    @property
    def rules(self) -> tuple[TargetRule, ...]:
        return (CHATS[self.chat], MAIL, DIRECTORY)

    @property
    def context(self) -> dict[str, Any]:
        kind = {"kind": self.facts["person_type"]} if self.mapped else Unavailable("no mapping")
        return {"person": self.facts | {"type": kind}, "names": {"login": self.facts["login"]}}

    @property
    def standing(self) -> Standing:
        was_used = any(account.was_used for account in self.accounts.values())
        return standing(self.facts, STATUSES, now=self.now, was_used=was_used)

    def wanted(self, rule: TargetRule) -> Wanted:
        return wanted(
            self.standing,
            in_scope=rule.in_scope(self.context),
            policy=rule.policy,
            account=self.accounts.get(rule.name),
            now=self.now,
        )

    @property
    def next_at(self) -> datetime | None:
        dates = [self.standing.next_at]
        dates += [self.wanted(rule).next_at for rule in self.rules]
        return min((date for date in dates if date), default=None)

    def plan(self) -> int:
        """How many steps were taken."""
        for rule in self.rules:
            if rule.name in self.accounts and self.wanted(rule).state == "active":
                self.accounts[rule.name] = replace(self.accounts[rule.name], closed=None)
        found = {rule.name: task for rule in self.rules if (task := self._task(rule))}
        found |= {
            rule.name: planning.in_order(
                rule, found[rule.name], planned=found, open_tasks=self.tasks
            )
            for rule in self.rules
            if rule.name in found
        }
        taken = {r.name: step(found.get(r.name), self.tasks.get(r.name)) for r in self.rules}
        for name, what in taken.items():
            if name in self.tasks and self.tasks[name].state == "running":
                assert what is Step.LATER, "touched a task that is being carried out (I6)"
            if what is Step.SUPERSEDE:
                del self.tasks[name]
            elif what in (Step.ADD, Step.REVISE, Step.REPLACE):
                self.tasks[name] = as_open(found[name])
        return sum(what not in (Step.NOTHING, Step.LATER) for what in taken.values())

    def _task(self, rule: TargetRule) -> PlannedTask | None:
        return planning.plan_task(
            rule, person_id=1, wanted=self.wanted(rule), context=self.context,
            accounts=self.accounts, open_task=self.tasks.get(rule.name),
        )  # fmt: skip

    def start(self, target: str) -> None:
        """A call is under way; whatever is planned meanwhile finds it so."""
        task = self.tasks.get(target)
        if task and task.state in ("ready", "planned", "waiting") and self._may_go(task, target):
            self.tasks[target] = replace(task, state="running")

    def work(self, *targets: str) -> int:
        """Everything that can be carried out, also what that sets free."""
        done = 0
        for target in targets:
            self.start(target)
            if target in self.tasks and self.tasks[target].state == "running":
                self._carry_out(target, self.tasks.pop(target))
                done += 1 + self.work(*targets)
        return done

    def _may_go(self, task: OpenTask, target: str) -> bool:
        rule = next(rule for rule in self.rules if rule.name == target)
        if task.operation in TAKES_AWAY:
            return True
        enough = ("active", "disabled") if task.account_state == "disabled" else ("active",)
        return all(
            self.accounts[name].state in enough if name in rule.depends_on and name in self.accounts
            else name in rule.after and not self._gives(name)
            for name in task.waits_for
        )  # fmt: skip

    def _gives(self, target: str) -> bool:
        task = self.tasks.get(target)
        return task is not None and task.operation not in TAKES_AWAY

    def _carry_out(self, target: str, task: OpenTask) -> None:
        account = self.accounts.get(target)
        if task.operation == "create":
            assert account is None or account.state == "deleted", "a second account (I9)"
        else:
            assert account is not None
            assert account.state in ("active", "disabled")
            by_others = account.disabled_by not in (None, US)
            assert task.operation == "disable" or not by_others, "undid what others did (I11)"
        if account and task.operation == "disable" and account.state == "disabled":
            self.accounts[target] = replace(account, closed="seen")
            return
        late = {"login": self.accounts["directory"].identifier} if task.late_bound else {}
        attributes = {**task.desired, **late}
        identifier = {"directory": "login", "mail": "mail", "chat": "id"}[target]
        self.accounts[target] = Account(
            state=task.account_state,
            identifier=attributes[identifier],
            remote_id=None,
            attributes=attributes,
            disabled_by=US if task.account_state == "disabled" else None,
            disabled_reason=self._why(task, account),
            since=account.since if account and account.state == task.account_state else self.now,
        )

    def _why(self, task: OpenTask, account: Account | None) -> str | None:
        """As the store keeps it."""
        if task.account_state == "active":
            return None
        if account is None or task.operation in ("create", "disable"):
            return task.reason
        return account.disabled_reason

    def settle(self) -> None:
        for _ in range(8):
            planned = self.plan()
            if not self.work(*TARGETS) and not planned:
                return
        raise AssertionError(f"never comes to rest: {self.tasks}")


TARGETS = ("chat", "mail", "directory")
JOINER = {
    "hire_date": None, "effective_date": None, "leave_date": None, "status": "1",
    "presumed_left_at": None, "time_zone": None, "person_type": "10", "department_code": "D1",
    "login": "zhangwei",
}  # fmt: skip


def as_open(task: PlannedTask) -> OpenTask:
    state = "ready" if task.state == "planned" else task.state
    return OpenTask(
        id=1, operation=task.operation, state=state, desired=task.desired,
        late_bound=task.late_bound, account_state=task.account_state, reason=task.reason,
        cause=task.cause, waits_for=task.waits_for,
    )  # fmt: skip


DATES = st.none() | st.integers(-9, 12).map(lambda days: (START + days * DAY).date())
HR: st.SearchStrategy[tuple[str, Any]] = st.one_of(
    st.tuples(st.just("hire_date"), DATES),
    st.tuples(st.just("leave_date"), DATES),
    st.tuples(st.just("status"), st.sampled_from(["1", "L", "X"])),
    st.tuples(st.just("person_type"), st.sampled_from(["10", "11", "12"])),
    st.tuples(st.just("department_code"), st.sampled_from(["D1", "D2"])),
    st.tuples(st.just("login"), st.sampled_from(["zhangwei", "zhang.wei"])),
    st.tuples(st.just("presumed_left_at"), st.sampled_from([None, START])),
    st.tuples(st.just("time_zone"), st.sampled_from([None, "America/Los_Angeles"])),
)
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("hr"), HR),
        st.tuples(st.just("hours"), st.integers(1, 24 * 30)),
        st.tuples(st.just("mapped"), st.booleans()),
        st.tuples(st.just("chat"), st.sampled_from(sorted(SCOPES))),
        st.tuples(st.just("security"), st.sampled_from(TARGETS)),
        st.tuples(st.just("start"), st.sampled_from(TARGETS)),
        st.tuples(st.just("work"), st.sampled_from([("directory",), ("mail", "chat"), TARGETS])),
    ),
    max_size=14,
)


HISTORIES = st.tuples(DATES, DATES, EVENTS)


def after(hire: Any, leave: Any, events: list[tuple[str, Any]]) -> Desk:
    """Planned after each event, as runs by the clock would."""
    desk = Desk()
    desk.facts |= {"hire_date": hire, "leave_date": leave}
    desk.plan()
    for kind, what in events:
        if kind == "hr":
            desk.facts = desk.facts | {what[0]: what[1]}
        elif kind == "hours":
            desk.now += timedelta(hours=what)
        elif kind == "security" and what in desk.accounts and what not in desk.tasks:
            account = desk.accounts[what]
            if account.state == "active":
                desk.accounts[what] = replace(account, state="disabled", disabled_by="security")
        elif kind == "start":
            desk.start(what)
        elif kind == "work":
            desk.work(*what)
        elif kind in ("mapped", "chat"):
            setattr(desk, kind, what)
        desk.plan()
    return desk


def is_as_it_should_be(desk: Desk, rule: TargetRule) -> bool:
    """Told anew, from the facts alone."""
    account, should = desk.accounts.get(rule.name), desk.wanted(rule)
    task, state = desk.tasks.get(rule.name), account.state if account else "none"
    if should.state is None:
        return task is None
    if account and account.disabled_by == "security":
        is_for_nobody = should.state != "active" and should.reason != "prehire"
        return task is None and (account.closed == "seen" or not is_for_nobody)  # I17
    if should.state == "deleted":
        return state in ("deleted", "none")
    if should.state == "disabled" and not should.makes:
        return state in ("disabled", "deleted", "none")
    if rule is MAIL and not desk.mapped:
        return task is not None and task.state == "needs_data"
    if rule is MAIL and not _has_directory(desk):
        return state == "active" or (task is not None and task.waits_for == ("directory",))
    if rule.name == "chat" and "mail" in desk.tasks:
        return state == "active" or (task is not None and task.waits_for == ("mail",))
    expected = {name: value(desk.context) for name, value in rule.attributes.items()}
    if rule is MAIL:
        expected["login"] = desk.accounts["directory"].identifier
    return account is not None and (state, account.attributes) == (should.state, expected)


def _has_directory(desk: Desk) -> bool:
    directory = desk.accounts.get("directory")
    return directory is not None and directory.state == "active"


@settings(max_examples=400)
@given(HISTORIES)
def test_any_history_comes_to_rest_where_it_should(history: tuple[Any, Any, Any]) -> None:
    """Desired = applied, and nothing more is planned (I6); what time alone brings, too."""
    desk = after(*history)
    for _ in range(8):
        desk.settle()
        assert desk.plan() == 0
        assert not [task for task in desk.tasks.values() if task.state in IN_DOUBT]
        for rule in desk.rules:
            assert is_as_it_should_be(desk, rule), (rule.name, desk)
        if desk.next_at is None:
            return
        desk.now = desk.next_at
    raise AssertionError("dates never end")


@settings(max_examples=400)
@given(HISTORIES, st.floats(0, 1, exclude_max=True))
def test_nothing_happens_before_the_date_that_a_plan_has_named(
    history: tuple[Any, Any, Any], share: float
) -> None:
    """`next_evaluation_at` misses no day."""
    desk = after(*history)
    desk.settle()
    until = desk.next_at or desk.now + 900 * DAY
    desk.now = min(desk.now + (until - desk.now) * share, until - timedelta(microseconds=1))
    assert desk.plan() == 0
