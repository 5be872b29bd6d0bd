"""Look at plans and dry runs, and decide about what the guard held."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated

import typer

from accountsync import wiring
from accountsync.cli import screen, session
from accountsync.cli.session import Comment, Decider
from accountsync.jobs.plans import held_plans
from accountsync.jobs.reason_texts import all_english
from accountsync.store.plans.guarded_tasks import Selection
from accountsync.store.plans.plan_view import PlanLine, PlanView

app = typer.Typer(help=__doc__, no_args_is_help=True)

Plan = Annotated[
    int, typer.Argument(min=1, max=session.LARGEST, help="its number, from `plan list`")
]
ForReason = Annotated[
    list[str] | None,
    typer.Option("--reason", help="only what this reason asks for, as `plan show` names it"),
]
OnceMore = Annotated[
    bool,
    typer.Option(
        "--once-more", help="also leavers who were rejected once already: they keep their access"
    ),
]
OfPerson = Annotated[
    list[str] | None, typer.Option("--person", help="only this person's: an employee number")
]


@app.command("list")
def plan_list(
    held: Annotated[bool, typer.Option("--held", help="only those that wait for a human")] = False,
) -> None:
    """List the latest plans."""
    read = held_plans.list_held if held else held_plans.list_recent
    plans = read(engine=session.store())
    for plan in plans:
        typer.echo(
            f"{plan.id}  {plan.created_at:%F %H:%M} UTC  {plan.state}"
            f"  {plan.persons} persons, {plan.tasks} tasks, {_held(plan)}"
        )
    if not plans:
        typer.echo("no plan is held" if held else "there is no plan yet")


@app.command("show")
def plan_show(plan: Plan) -> None:
    """Print a plan: how many tasks, why, whom for example (employee numbers), what is held."""
    view = held_plans.describe(engine=session.store(), plan=plan)
    typer.echo(f"plan {plan}: {view.state}, {view.persons} persons, {view.tasks} tasks")
    screen.say(*_lines(view, held_plans.held_lines(engine=session.store(), plan=plan)))
    if view.reviewed_by:
        typer.echo(f"  {view.state} by {view.reviewed_by}: {view.comment}")


@app.command("approve")
def plan_approve(
    plan: Plan,
    comment: Comment,
    reason: ForReason = None,
    person: OfPerson = None,
    actor: Decider = "",
) -> None:
    """Let exactly the held tasks of this plan go, or those that you choose of them."""
    waited = held_plans.describe(engine=session.store(), plan=plan).held
    tasks = wiring.approve_plan(
        session.settings(),
        plan,
        actor=session.actor(actor),
        comment=comment,
        chosen=Selection(reasons=reason, numbers=person),
    )
    typer.echo(f"plan {plan} approved: {tasks} tasks go on")
    left = _print_rest(plan)
    if waited > tasks + left:
        screen.say(*_planned_anew(waited - tasks - left))


@app.command("reject")
def plan_reject(
    plan: Plan,
    comment: Comment,
    reason: ForReason = None,
    person: OfPerson = None,
    once_more: OnceMore = False,
    actor: Decider = "",
) -> None:
    """Cancel the held tasks, or those that you choose of them. They are planned again only when
    something about them changes, or after `reconsider`. Leavers are asked about twice."""
    tasks = wiring.reject_plan(
        session.settings(),
        plan,
        actor=session.actor(actor),
        comment=comment,
        once_more=once_more,
        chosen=Selection(reasons=reason, numbers=person),
    )
    typer.echo(f"plan {plan} rejected: {tasks} tasks cancelled")
    _print_rest(plan)


def _print_rest(plan: int) -> int:
    """Prints what is still to be decided about, and returns how many tasks that are."""
    view = held_plans.describe(engine=session.store(), plan=plan)
    if not view.held:
        return 0
    typer.echo(f"{view.held} tasks of plan {plan} are still held")
    lines = held_plans.held_lines(engine=session.store(), plan=plan)
    if again := sum(line.held for line in lines if line.is_asked_again):
        typer.echo(
            f"{again} of them end the access of people who have left, and were rejected once:"
            " approve to end it; to let them keep it, reject with --once-more"
        )
    return view.held


@app.command("reconsider")
def plan_reconsider(plan: Plan, comment: Comment, actor: Decider = "") -> None:
    """Take a rejection back: the next plan may have the same tasks again, and the guard judges
    them."""
    tasks = held_plans.reconsider(
        engine=session.store(),
        plan=plan,
        actor=session.actor(actor),
        comment=comment,
    )
    typer.echo(f"plan {plan}: {tasks} tasks are planned again where they still hold")


@app.command("release")
def plan_release(plan: Plan, actor: Decider = "") -> None:
    """Carry out a dry run as a plan, if it still comes out the same. The guard judges it, too."""
    summary = wiring.release_dry_run(session.settings(), plan, actor=session.actor(actor))
    typer.echo(
        f"released as plan {summary.plan_id}: {summary.released} tasks go on, {summary.held} held"
    )
    if summary.held:
        typer.echo(
            f"next: bin/accountsync plan show {summary.plan_id}, then plan approve or reject"
        )


def _planned_anew(tasks: int) -> Iterator[str]:
    """Why tasks that were approved do not go on, and where they are asked about next."""
    yield (
        f"{tasks} do not: something about their persons changed since they were reviewed (HR, an"
        " import of mappings, the configuration), so they are planned anew"
    )
    asked = [str(plan.id) for plan in held_plans.list_held(engine=session.store())]
    if asked:
        yield f"held now: plan {', '.join(asked)}; next: bin/accountsync plan show {asked[-1]}"
    else:
        yield (
            "next: create_account_tasks plans them, within 10 minutes or as soon as you trigger it;"
            " what the guard holds then is a new question: bin/accountsync plan list --held"
        )


def _held(plan: PlanView) -> str:
    """A dry run has no tasks, so what the guard would hold is counted from its lines."""
    if plan.state != "dry_run":
        return f"{plan.held} held"
    return f"{sum(line.held for line in plan.lines)} would be held"


def _lines(view: PlanView, held: Sequence[PlanLine]) -> Iterator[str]:
    """`held`: what the plan still holds. A dry run has no tasks, so what it says stays so."""
    for line in view.lines:
        is_now = [
            one for one in held if (one.target, one.operation) == (line.target, line.operation)
        ]
        if not line.held or view.state == "dry_run":
            yield from _line(line)
        elif not is_now:
            yield from _line(line, held="were held")
        else:
            for one in is_now:
                yield from _line(one)
            if more := line.held - sum(one.held for one in is_now):
                yield f"    {more} more were held: decided since, or given up by a later plan"


def _line(line: PlanLine, *, held: str = "held") -> Iterator[str]:
    reasons = ", ".join(f"{reason or '-'} {tasks}" for reason, tasks in line.reasons.items())
    yield f"  {line.target} {line.operation}: {line.tasks} ({reasons})"
    yield f"    for example {', '.join(line.examples)}"
    if line.held:
        yield f"    {line.held} {held}: {all_english(line.held_because)}"
