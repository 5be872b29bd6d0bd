"""Derives the account tasks of every person that changed or for whom a date has come."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from itertools import chain

from sqlalchemy import Connection, Engine

from accountsync.domain.names.numbering import FirstNumbers
from accountsync.domain.plans import plan_guard, steps
from accountsync.domain.plans.steps import OpenTask, PlannedTask, Step
from accountsync.domain.reasons import Kind, Reason
from accountsync.errors import SafetyStopError
from accountsync.jobs.interpreter_tuning import rare_collections
from accountsync.jobs.plans import hr_names, person_facts
from accountsync.jobs.plans.candidates import (
    Candidate,
    give_names,
    plan_tasks,
    read_candidates,
    take_over_adopted,
)
from accountsync.jobs.plans.person_facts import Facts
from accountsync.jobs.plans.plan_rules import Rules, compile_rules
from accountsync.jobs.reason_texts import all_english
from accountsync.settings import Settings
from accountsync.store import locks, schema
from accountsync.store.accounts import accounts
from accountsync.store.persons import ownership, persons
from accountsync.store.persons.persons import Evaluation
from accountsync.store.plans import guard_facts, guarded_tasks, planned_rules, planned_tasks, plans
from accountsync.store.plans.plan_view import PlanLine
from accountsync.store.plans.planned_tasks import Digest
from accountsync.store.tasks import dependants, open_access

log = logging.getLogger(__name__)

_PERSONS_AT_ONCE = 2000
_FEW_PERSONS = 50_000
"""Up to so many persons are named where dependants are looked for; beyond it, everybody's are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanSummary:
    """`counts`: target → task state → tasks. `released`: tasks that can be carried out now. `held`:
    tasks that the guard holds. `kept`: who refused that access ends → the leavers who keep it.
    `unknown_sources`: HR sources that are not configured → their persons, whose accounts are kept
    as they are."""

    plan_id: int
    persons: int
    counts: Mapping[str, Mapping[str, int]]
    lines: Sequence[PlanLine]
    released: int
    held: int
    content_hash: str
    kept: Mapping[str, int]
    unknown_sources: Mapping[str, int]


@dataclass(slots=True, kw_only=True)
class _Changes:
    """What one lot of persons needs. `add` may be a generator that computes while tasks are
    written."""

    add: Iterable[PlannedTask] = ()
    replacing: list[PlannedTask] = field(default_factory=list)
    revise: list[tuple[OpenTask, PlannedTask]] = field(default_factory=list)
    replaced: list[OpenTask] = field(default_factory=list)
    superseded: list[OpenTask] = field(default_factory=list)
    lapsed: list[OpenTask] = field(default_factory=list)
    planned: list[Evaluation] = field(default_factory=list)

    def leave_out(self, claimed: Sequence[OpenTask]) -> None:
        """Leaves out tasks that a processor has claimed; their persons are planned again after the
        call (I6)."""
        if not claimed:
            return
        places = {(task.person_id, task.target) for task in claimed}
        persons = {task.person_id for task in claimed}
        self.replacing[:] = [
            task for task in self.replacing if (task.person_id, task.target) not in places
        ]
        self.planned = [
            replace(evaluation, revision=0) if evaluation.person_id in persons else evaluation
            for evaluation in self.planned
        ]


def create_account_tasks(
    *,
    engine: Engine,
    settings: Settings,
    now: datetime,
    dry_run: bool = False,
    airflow_run_id: str | None = None,
    expected: str | None = None,
    only: str | None = None,
) -> PlanSummary:
    """Derives one plan in one transaction. A dry run rolls it back and keeps only its summary.

    `expected` is the content hash of a dry run. Raises SafetyStopError, and changes nothing, where
    the plan comes out differently by now. `only` is the employee number of the one person to plan.
    The guard judges such plans, too: what they take away counts with what is held and against the
    budgets (I7).
    """
    rules = compile_rules(settings)
    with rare_collections(), locks.held(engine, "plan"), engine.begin() as connection:
        schema.require_our_tables(connection)
        derivation = connection.begin_nested()
        summary = _plan(connection, rules, now, airflow_run_id, only=only)
        if dry_run:
            derivation.rollback()
            summary = _keep_dry_run(connection, summary, now, airflow_run_id)
        elif expected is not None and summary.content_hash != expected:
            raise SafetyStopError(
                "since the dry run something has changed and another plan comes out; nothing was"
                " released: look at a new dry run"
            )
    log.info(
        "event=planned plan=%s persons=%s released=%s held=%s leavers_keep_access=%s dry_run=%s"
        " counts=%s",
        summary.plan_id, summary.persons, summary.released, summary.held, dict(summary.kept),
        dry_run, dict(summary.counts),
    )  # fmt: skip
    return summary


def _keep_dry_run(
    connection: Connection, summary: PlanSummary, now: datetime, airflow_run_id: str | None
) -> PlanSummary:
    plan_id = plans.start(connection, airflow_run_id=airflow_run_id, now=now)
    plans.finish(
        connection,
        plan_id=plan_id,
        persons=summary.persons,
        state="dry_run",
        counts=summary.counts,
        lines=summary.lines,
        content_hash=summary.content_hash,
        held_hash=None,
    )
    return replace(summary, plan_id=plan_id)


def _plan(
    connection: Connection,
    rules: Rules,
    now: datetime,
    airflow_run_id: str | None,
    *,
    only: str | None,
) -> PlanSummary:
    """Derives, judges and finishes a plan. The names that HR gives are recorded for everybody
    before any name is given, even if only one person is planned (I8)."""
    plan_id = plans.start(connection, airflow_run_id=airflow_run_id, now=now)
    settled = guard_facts.settled_targets(connection, targets=list(rules.joiner))
    rules = rules.with_joiners(settled, now)
    digest = hashlib.sha256()
    changed = planned_rules.changed(connection, rules.fingerprints)
    if changed:
        log.info("event=rules_changed plan=%s targets=%s", plan_id, changed)
        planned_rules.keep_order(connection, rules.order.after, reads=rules.reads)
    if changed and only is None:
        planned_rules.keep(connection, rules.fingerprints, now=now)
    if only is None:
        _give_up_targets(connection, rules, plan_id, now, digest)
    lots = partial(persons.lots, connection, at_once=_PERSONS_AT_ONCE, due=None if changed else now)
    facts = (person_facts.of(connection, rows) for rows in lots())
    hr_names.record_existing(connection, rules.names, lambda: facts)
    count, first = 0, FirstNumbers()
    only_rows = None if only is None else persons.of_number(connection, only)
    planned: list[int] = []
    for rows in lots() if only_rows is None else [only_rows]:
        changes = _changes(connection, rules, rows, now, first)
        changes.leave_out(_to_open_tasks(connection, plan_id, changes, now, digest))
        planned_tasks.add(connection, plan_id=plan_id, tasks=changes.add, now=now, digest=digest)
        persons.mark_planned(connection, changes.planned)
        count += len(rows)
        if len(planned) <= _FEW_PERSONS:
            planned += [row["id"] for row in rows]
        log.debug("event=planning plan=%s persons=%s", plan_id, count)
    _judge(connection, rules, plan_id, now)
    everybody = len(planned) > _FEW_PERSONS
    dependants.release_satisfied(connection, now=now, persons=None if everybody else planned)
    unknown = _unknown_sources(connection, rules, plan_id)
    return _finish(connection, plan_id, count, digest.hexdigest(), unknown)


def _unknown_sources(connection: Connection, rules: Rules, plan_id: int) -> Mapping[str, int]:
    counts = ownership.persons_of_others(connection, known=rules.statuses)
    for source, count in counts.items():
        log.warning(
            "event=source_not_configured plan=%s source=%s persons=%s accounts=kept_as_they_are",
            plan_id, source, count,
        )  # fmt: skip
    return counts


def _give_up_targets(
    connection: Connection, rules: Rules, plan_id: int, now: datetime, digest: Digest
) -> None:
    """Gives up the open tasks of targets that were taken out of the configuration."""
    if gone := planned_rules.forget(connection, but=rules.fingerprints):
        given_up = planned_tasks.give_up_targets(connection, targets=gone, now=now, digest=digest)
        log.warning("event=targets_gone plan=%s targets=%s given_up=%s", plan_id, gone, given_up)


def _to_open_tasks(
    connection: Connection,
    plan_id: int,
    changes: _Changes,
    now: datetime,
    digest: Digest,
) -> list[OpenTask]:
    """Supersedes and revises open tasks. Returns those that a processor has claimed since they were
    read."""
    claimed = []
    for tasks, cause in (
        (changes.superseded, Reason.of(Kind.REASON_GONE)),
        (changes.replaced, Reason.of(Kind.REPLACED)),
    ):
        claimed += planned_tasks.supersede(
            connection, tasks=tasks, cause=cause, now=now, digest=digest
        )
    return claimed + planned_tasks.revise(
        connection, plan_id=plan_id, tasks=changes.revise, now=now, digest=digest
    )


def _judge(connection: Connection, rules: Rules, plan_id: int, now: datetime) -> None:
    """Holds what the guard stops, and releases everything else (I7)."""
    for group in guard_facts.facts(connection, plan_id=plan_id, now=now):
        rule = rules.guards[group.target, group.risk]
        because = plan_guard.reasons_to_hold(group.risk, group.facts, rule)
        if because:
            log.warning(
                "event=held plan=%s target=%s risk=%s because=%r",
                plan_id, group.target, group.risk, all_english(because),
            )  # fmt: skip
            guarded_tasks.hold(
                connection,
                plan_id=plan_id,
                target=group.target,
                risk=group.risk,
                because=because,
                now=now,
            )
    clean = guarded_tasks.still_planned(connection, plan_id=plan_id)
    guarded_tasks.let_through(connection, ids=clean, candidates=rules.order.table(), now=now)


def _finish(
    connection: Connection, plan_id: int, count: int, content: str, unknown: Mapping[str, int]
) -> PlanSummary:
    counts = plans.counts(connection, plan_id=plan_id)
    lines = plans.lines(connection, plan_id=plan_id)
    held = sum(line.held for line in lines)
    summary = PlanSummary(
        plan_id=plan_id,
        persons=count,
        counts=counts,
        lines=lines,
        released=sum(states.get("ready", 0) for states in counts.values()),
        held=held,
        content_hash=content,
        kept=open_access.kept(connection),
        unknown_sources=unknown,
    )
    plans.finish(
        connection,
        plan_id=plan_id,
        persons=count,
        state="held" if held else "released",
        counts=counts,
        lines=lines,
        content_hash=content,
        held_hash=guarded_tasks.held_hash(connection, plan_id=plan_id) if held else None,
    )
    return summary


def _changes(
    connection: Connection, rules: Rules, rows: Sequence[Facts], now: datetime, first: FirstNumbers
) -> _Changes:
    """What a lot of persons needs. A person without accounts, open tasks and refusals gets the
    planned tasks as they are, because there is nothing to compare them with."""
    everybody = read_candidates(connection, rules, rows, now)
    given = give_names(connection, rules, everybody, first)
    refused = planned_tasks.refused(connection, [candidate.id for candidate in everybody])
    others = [
        candidate
        for candidate in everybody
        if candidate.accounts or candidate.open_tasks or candidate.id in refused
    ]
    known = {candidate.id for candidate in others}
    newcomers = [candidate for candidate in everybody if candidate.id not in known]
    others = take_over_adopted(connection, rules, others, given)
    planned = [plan_tasks(rules, candidate, given.get(candidate.id, {})) for candidate in others]
    changes = _Changes(planned=[candidate.evaluation() for candidate in newcomers])
    for candidate, tasks in zip(others, planned, strict=True):
        refusals = refused.get(candidate.id, {})
        still_refused = {
            target for target, task in tasks.items() if _is_refused(task, refusals.get(target))
        }
        changes.lapsed += [task for target, task in refusals.items() if target not in still_refused]
        asked = {target: task for target, task in tasks.items() if target not in still_refused}
        _collect(changes, rules, candidate, asked)
    planned_tasks.lapse(connection, changes.lapsed)
    accounts.reopen(connection, [pair for candidate in others for pair in candidate.reopened])
    first_tasks = (
        plan_tasks(rules, candidate, given.get(candidate.id, {})).values()
        for candidate in newcomers
    )
    changes.add = chain(changes.replacing, chain.from_iterable(first_tasks))
    return changes


def _is_refused(planned: PlannedTask, refusal: OpenTask | None) -> bool:
    """What a human rejected is not planned again until something about it changes."""
    return refusal is not None and steps.is_same(planned, refusal)


def _collect(
    changes: _Changes,
    rules: Rules,
    candidate: Candidate,
    planned: Mapping[str, PlannedTask],
) -> None:
    """Adds what a person's open tasks need to come in step with the planned ones. A person with a
    call under way is planned again after it."""
    is_settled = True
    for rule in rules.targets:
        task, open_task = planned.get(rule.name), candidate.open_tasks.get(rule.name)
        step = steps.step(task, open_task)
        if step in (Step.SUPERSEDE, Step.REPLACE) and open_task:
            (changes.superseded if task is None else changes.replaced).append(open_task)
        if step in (Step.ADD, Step.REPLACE) and task:
            changes.replacing.append(task)
        if step is Step.REVISE and task and open_task:
            changes.revise.append((open_task, task))
        if step is Step.LATER:
            is_settled = False
    changes.planned.append(candidate.evaluation(is_settled=is_settled))
