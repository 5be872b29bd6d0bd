"""Reads persons to plan, with their accounts, and derives what these should be."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection

from accountsync.domain.accounts.account import GIVES, Account, AccountState, Operation
from accountsync.domain.mapping.values import Context
from accountsync.domain.names.numbering import FirstNumbers
from accountsync.domain.persons import account_request
from accountsync.domain.persons.lifecycle import Standing, standing
from accountsync.domain.plans import planning, risks
from accountsync.domain.plans.desired import Difference, TargetRule, as_applied
from accountsync.domain.plans.entitlement import UNKNOWN, Wanted, wanted
from accountsync.domain.plans.steps import OpenTask, PlannedTask
from accountsync.domain.reasons import Kind, Reason
from accountsync.domain.task_states import IN_DOUBT, TaskState
from accountsync.errors import RecordError
from accountsync.jobs.plans import name_giving, person_facts
from accountsync.jobs.plans.name_giving import Given
from accountsync.jobs.plans.person_facts import Facts
from accountsync.jobs.plans.plan_rules import Rules
from accountsync.store.accounts import account_cases, accounts
from accountsync.store.names import name_registry
from accountsync.store.persons.persons import Evaluation
from accountsync.store.plans import planned_tasks

_MAY_HAVE_ONE = "adoption"


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A person, what is known about the person's accounts, and what they should be."""

    id: int
    revision: int
    context: Context
    accounts: Mapping[str, Account]
    wanted: Mapping[str, Wanted]
    open_tasks: Mapping[str, OpenTask]
    next_at: datetime | None
    now: datetime
    waits_with: Reason | None = None
    """Why nothing is given to the person for the time being."""

    @property
    def needs_names(self) -> bool:
        """Whether the person gets an account. A person with a call under way is planned again after
        it."""
        return any(
            planning.operation(wanted, self.accounts.get(target), Difference.NONE)
            == Operation.CREATE
            and (target not in self.open_tasks or self.open_tasks[target].state not in IN_DOUBT)
            for target, wanted in self.wanted.items()
        )  # fmt: skip

    def evaluation(self, *, is_settled: bool = True) -> Evaluation:
        return Evaluation(
            person_id=self.id,
            revision=self.revision if is_settled else -self.revision,
            next_at=self.next_at,
        )

    @property
    def reopened(self) -> list[tuple[int, str]]:
        """Where the person is to have access again to an account that was closed."""
        return [
            (self.id, target)
            for target, account in self.accounts.items()
            if account.closed
            and target in self.wanted
            and self.wanted[target].state == AccountState.ACTIVE
        ]

    @property
    def keeps_account(self) -> bool:
        return any(
            wanted.state == AccountState.ACTIVE and target in self.accounts
            for target, wanted in self.wanted.items()
        )


def read_candidates(
    connection: Connection, rules: Rules, rows: Sequence[Facts], now: datetime
) -> list[Candidate]:
    ids = [row["id"] for row in rows]
    # Tasks are read before accounts: a task that ends between the two reads is in both.
    under_way = planned_tasks.open_tasks(connection, ids)
    known = accounts.of_persons(connection, ids)
    doubtful = account_cases.in_doubt(connection, ids)
    return [
        _candidate(
            rules,
            person,
            known.get(person["id"], {}),
            under_way.get(person["id"], {}),
            now,
            doubtful=doubtful,
        )
        for person in person_facts.of(connection, rows)
    ]


def _candidate(
    rules: Rules,
    person: Facts,
    known: Mapping[str, Account],
    under_way: Mapping[str, OpenTask],
    now: datetime,
    *,
    doubtful: Collection[tuple[int, str]],
) -> Candidate:
    """`doubtful`: (person id, target) where an account of the target may be the person's, and
    nobody has decided yet (I9)."""
    stands = standing_of(rules, person, known, now)
    if stands:
        wanted_states, next_at = _wanted_states(rules, person, known, stands, now, doubtful)
    else:
        wanted_states, next_at = {rule.name: UNKNOWN for rule in rules.targets}, None
    return Candidate(
        id=person["id"],
        revision=person["revision"],
        context={"person": person},
        accounts=known,
        wanted=wanted_states,
        open_tasks=under_way,
        next_at=next_at,
        now=now,
        waits_with=_waits_with(person, stands),
    )


def standing_of(
    rules: Rules, person: Facts, known: Mapping[str, Account], now: datetime
) -> Standing | None:
    """None for a person of an HR source that is not configured."""
    statuses = rules.statuses.get(person["source"])
    was_used = any(account.was_used for account in known.values())
    return standing(person, statuses, now=now, was_used=was_used) if statuses else None


def _waits_with(person: Facts, stands: Standing | None) -> Reason | None:
    """Why nothing is given: HR lacks the person, or may have called the hire off (I19)."""
    if person["absent_since_snapshot"] is not None and person["presumed_left_at"] is None:
        return Reason.of(Kind.ABSENT_FROM_HR)
    if stands is None or not stands.is_doubtful:
        return None
    first = person["hire_date"] or person["effective_date"]
    dates = {"leave_date": str(person["leave_date"]), "hire_date": str(first)}
    return Reason.of(Kind.REHIRED_OR_CALLED_OFF, **dates)


def _wanted_states(
    rules: Rules,
    person: Facts,
    known: Mapping[str, Account],
    stands: Standing,
    now: datetime,
    doubtful: Collection[tuple[int, str]],
) -> tuple[dict[str, Wanted], datetime | None]:
    """Target → what the person should have there, and when time alone changes something of it."""
    scope = {"person": person, "valid_statuses": rules.valid_statuses[person["source"]]}
    wanted_states = {
        rule.name: Wanted(state=None, reason=_MAY_HAVE_ONE)
        if (person["id"], rule.name) in doubtful
        else _wanted(rule, stands, scope, known.get(rule.name), now)
        for rule in rules.targets
    }
    dates = [stands.next_at, *(state.next_at for state in wanted_states.values())]
    return wanted_states, min(filter(None, dates), default=None)


def _wanted(
    rule: TargetRule,
    stands: Standing,
    scope: Context,
    account: Account | None,
    now: datetime,
) -> Wanted:
    return wanted(
        stands,
        in_scope=_entitled(rule, scope),
        is_valid=scope["person"]["status"] in scope["valid_statuses"]
        or not scope["valid_statuses"],
        policy=rule.policy,
        account=account,
        now=now,
    )


def _entitled(rule: TargetRule, scope: Context) -> bool | None:
    """Whether an account request or the rule entitles the person. None where the rule lacks data:
    it then neither gives nor takes an account."""
    if account_request.entitles(rule.name, scope["person"], scope["valid_statuses"]):
        return True
    try:
        return rule.in_scope(scope)
    except RecordError:
        return None


def give_names(
    connection: Connection,
    rules: Rules,
    candidates: Sequence[Candidate],
    first: FirstNumbers | None = None,
) -> Given:
    """The names of all candidates. Those who get or keep an account are given the names they
    lack."""
    served = {
        candidate.id: candidate.context
        for candidate in candidates
        if candidate.needs_names or candidate.keeps_account
    }
    others = [
        candidate.id
        for candidate in candidates
        if candidate.id not in served and candidate.accounts
    ]
    return {
        **name_registry.current(connection, others),
        **name_giving.give(connection, rules.names, served, first),
    }


def take_over_adopted(
    connection: Connection,
    rules: Rules,
    candidates: Sequence[Candidate],
    given: Given,
) -> list[Candidate]:
    """Settles the attributes of adopted accounts, once after the adoption, whether the target shows
    them or not. Returns the candidates with these accounts."""
    settled: dict[tuple[int, str], Mapping[str, object]] = {}
    taken_over = []
    for candidate in candidates:
        applied = _applied(rules, candidate, given.get(candidate.id, {}))
        settled |= {
            (candidate.id, target): account.attributes for target, account in applied.items()
        }
        taken_over.append(
            replace(candidate, accounts={**candidate.accounts, **applied}) if applied else candidate
        )
    accounts.keep_applied(connection, settled)
    return taken_over


def _applied(rules: Rules, candidate: Candidate, given: Mapping[str, str]) -> dict[str, Account]:
    context, known = {**candidate.context, "names": given}, dict(candidate.accounts)
    applied = {}
    for rule in rules.targets:
        account = known.get(rule.name)
        if (
            account
            and account.as_shown
            and candidate.wanted[rule.name].state == AccountState.ACTIVE
        ):
            attributes = as_applied(rule, context, known)
            if attributes is not None:
                settled = replace(account, attributes=attributes, as_shown=False)
                known[rule.name] = applied[rule.name] = settled
    return applied


def plan_tasks(
    rules: Rules, candidate: Candidate, given: Mapping[str, str]
) -> dict[str, PlannedTask]:
    context = {**candidate.context, "names": given}
    planned = {}
    for rule in rules.targets:
        task = planning.plan_task(
            rule,
            person_id=candidate.id,
            wanted=candidate.wanted[rule.name],
            context=context,
            accounts=candidate.accounts,
            open_task=candidate.open_tasks.get(rule.name),
        )
        if task is not None:
            task = planning.held_up(task, candidate.accounts.get(rule.name), candidate.waits_with)
            planned[rule.name] = _with_risks(rules, rule, candidate, task, given.values())
    return planned | _in_order(rules, planned, candidate.open_tasks)


def _with_risks(
    rules: Rules,
    rule: TargetRule,
    candidate: Candidate,
    task: PlannedTask,
    names: Collection[str],
) -> PlannedTask:
    """The task with what the guard judges it by. Of a change that lacks data nothing is known."""
    if task.operation not in GIVES and task.state == TaskState.NEEDS_DATA:
        return task
    found = risks.of_task(
        rule,
        task.operation,
        task.desired,
        candidate.accounts.get(rule.name),
        person=candidate.context["person"],
        joined_since=rules.joined_since.get(rule.name),
        now=candidate.now,
        names=names,
    )
    return replace(task, risks=found) if found else task


def _in_order(
    rules: Rules, planned: Mapping[str, PlannedTask], open_tasks: Mapping[str, OpenTask]
) -> dict[str, PlannedTask]:
    return {
        rule.name: planning.in_order(
            rule, planned[rule.name], planned=planned, open_tasks=open_tasks
        )
        for rule in rules.targets
        if rule.after and rule.name in planned
    }
