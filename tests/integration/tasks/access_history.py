"""One installation of which the targets are known to the last account, and what we do in it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from random import Random
from typing import Any

from accountsync.clock import utc_now
from accountsync.domain.plans.risks import Risk
from accountsync.errors import AccountSyncError
from accountsync.jobs.persons.run_request import Mode
from accountsync.jobs.plans import held_plans
from accountsync.jobs.plans.create_account_tasks import PlanSummary
from accountsync.jobs.tasks import open_access, task_commands
from accountsync.jobs.tasks.process_account_tasks import find_due_targets
from accountsync.store.tasks.task_commands import TaskFilter
from tests.integration.tasks.access_model import (
    SHANGHAI,
    TARGETS,
    Facts,
    Model,
    Place,
    Spot,
    changed,
)
from tests.integration.tasks.access_world import adopt
from tests.integration.tasks.targets_world import TargetsWorld
from tests.integration.world import Changes, stamp

FIRST = 500_001
NAMES = ("张伟", "李娜", "欧阳明", "王芳", "章伟", "吕布", "单雄信", "Anna Smith")
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
_MANY = {"count": 10_000, "percent": 100}
_WIDE = dict.fromkeys((*Risk, "budget_24h", "budget_7d", "budget_30d"), _MANY)
_GUARDS = {
    "wide": _WIDE | {"hard_percent": 100},
    "low": _WIDE | {"hard_percent": 100, "disable": {"count": 0, "percent": 0}},
}
_SCOPES = {
    "everybody": "person.status in valid_statuses",
    "employees": "person.status in valid_statuses and person.person_type == '10'",
}


class Diverged(Exception):
    """The targets do not contain what they must."""


@dataclass(kw_only=True)
class History:
    """One installation and what happens to it. `hr`: what HR holds now; `shift`: how far its time
    is ahead of ours."""

    world: TargetsWorld
    model: Model = field(default_factory=Model)
    hr: dict[int, Facts] = field(default_factory=dict)
    shift: timedelta = DAY
    guard: str = "wide"
    told: list[str] = field(default_factory=list)
    faulted: set[str] = field(default_factory=set)
    numbers: int = 0
    focus: int = FIRST
    """To whom something happened last: more may follow."""
    draw: Random = field(default_factory=Random)

    @property
    def now(self) -> datetime:
        return utc_now() + self.shift

    @property
    def today(self) -> date:
        return self.now.astimezone(SHANGHAI).date()

    def say(self, text: str) -> None:
        self.told.append(text)

    def configured(self) -> TargetsWorld:
        rules = self.model.rules
        changes: Changes = {
            "settings": {"guard": _GUARDS[self.guard]},
            "hieds": {"leave_statuses": ["3"], "left_statuses": ["2"]},
            "idaas": {"prehire": rules.prehire},
            "welink": {"scope": _SCOPES[rules.welink]},
            "email": {"leaver": rules.leaver, "leave": rules.leave},
        }
        return replace(self.world, changes=changes)

    def sync(self, mode: Mode = "auto") -> None:
        self.configured().sync(mode, now=self.now)
        self.model.read |= {p: facts for p, facts in self.hr.items() if facts.is_there}
        there = {p for p, facts in self.hr.items() if facts.is_there}
        self.model.lacking -= there
        if mode == "full":
            self.model.lacking = self.model.read.keys() - there

    def misread(self, mode: Mode) -> None:
        """A read of which nothing may be believed; where it was taken, the next one mends it."""
        with suppress(AccountSyncError):
            self.configured().sync(mode, now=self.now)
            self.say("  it was taken")
            self.world.sims.hr.heal()
            self.sync("full")

    def plan(self) -> PlanSummary:
        world, now = self.configured(), self.now
        summary = world.plan(now=now)
        self.model.plan(now)
        self.model.judge_listed(now, self.listed())
        self.judge("plan")
        return summary

    def listed(self) -> set[tuple[str, str]]:
        return {
            (one.employee_number, one.target)
            for one in open_access.list_open(engine=self.world.engine)
        }

    def process(self, *targets: str) -> None:
        shift = self.shift
        for target in targets:
            if target not in find_due_targets(
                engine=self.world.engine, targets=[target], now=self.now
            ):
                continue
            with suppress(AccountSyncError):
                self.configured().process(target, clock=lambda: utc_now() + shift)
            self.see(by_us=True)

    def see(self, *, by_us: bool) -> None:
        for target in TARGETS:
            self.model.see(target, self.world.target(target).accounts(), by_us=by_us)
        self.judge("process")

    def judge(self, where: str) -> None:
        if self.model.wrong:
            raise Diverged(f"{self.model.wrong[0]} (seen after {where})")

    def adopt(self, target: str) -> None:
        with suppress(AccountSyncError):
            adopt(self.configured(), target, now=self.now)
            self.model.opened = {place for place in self.model.opened if place[0] != target}

    def put(self, *people: Facts) -> None:
        for facts in people:
            self.hr[facts.id] = facts
            if facts.is_there:
                row = facts.row() | {"lastUpdateDate": stamp(self.now)}
                self.world.sims.hr.put_persons(row)

    def newcomer(self, **fields: Any) -> Facts:
        self.numbers += 1
        base = {"id": FIRST + len(self.hr), "number": f"{1000 + self.numbers}",
                "name": self.draw.choice(NAMES)}  # fmt: skip
        facts = Facts(**base | fields)
        self.put(facts)
        return facts

    def somebody(self, *standings: str) -> Facts | None:
        there = [f for f in self.hr.values() if f.is_there]
        fit = [f for f in there if not standings or f.standing(self.now) in standings]
        again = [f for f in fit if f.id == self.focus]
        if fit:
            chosen = self.draw.choice(again if again and self.draw.random() < 0.5 else fit)
            self.focus = chosen.id
        return chosen if fit else None

    def account(self, *, enabled: bool | None = None) -> Place | None:
        places = [
            (target, account_id)
            for target in TARGETS
            for account_id, account in self.model.shown[target].items()
            if (target, account_id) not in self.model.strangers
            and (enabled is None or account["enabled"] is enabled)
        ]
        own = [place for place in places if self.model.owners[place] == self.focus]
        return self.draw.choice(own or places) if places else None

    def by_hand(self, place: Place, **changes: Any) -> None:
        target, account_id = place
        self.world.target(target).edit(account_id, **changes)
        self.say(f"by hand {target}/{account_id} {changes}")
        owner = self.model.owners[place]
        if owner is not None:
            self.model.touched.add((owner, target))

    def change(self, *standings: str, **fields: Any) -> None:
        facts = self.somebody(*standings)
        if facts:
            self.put(changed(facts, **fields))
            self.say(f"{facts.number} {fields}")

    def plans(self) -> int:
        return int(self.world.rows("SELECT max(id) AS n FROM accountsync.plan")[0]["n"])

    def decide(self, plan: int, decision: str) -> None:
        facts: dict[str, Any] = {"engine": self.world.engine, "plan": plan, "actor": "mia",
                                 "comment": "c", "now": self.now}  # fmt: skip
        with suppress(AccountSyncError):
            if decision == "approve":
                held_plans.approve(settings=self.configured().settings, **facts)
                return
            self.model.refused |= self.shown_as_held(plan)
            held_plans.reject(**facts)
            if decision == "reject twice":
                held_plans.reject(**facts, once_more=True)

    def shown_as_held(self, plan: int | None = None) -> set[Spot]:
        """By one plan, or by all."""
        rows = self.world.rows(
            "SELECT p.source_key, t.system FROM accountsync.account_task t JOIN accountsync.person"
            " p ON p.id = t.person_id WHERE t.plan_id = coalesce(:plan, t.plan_id)"
            " AND t.state = 'held'", plan=plan,
        )  # fmt: skip
        return {(int(row["source_key"]), row["system"]) for row in rows}

    def command(self, command: str, chosen: TaskFilter) -> int:
        with suppress(AccountSyncError):
            return task_commands.carry_out(
                engine=self.world.engine, settings=self.configured().settings, command=command,
                chosen=chosen, actor="mia", comment="c",
            ).tasks  # fmt: skip
        return 0

    def heal(self) -> None:
        for target in TARGETS:
            self.world.target(target).heal()
        self.say("heal")

    def settle(self) -> None:
        """All is well again and days pass: whatever nobody has to decide about happens by itself.
        Then everybody looks, and what was refused is asked for again."""
        self.heal()
        self.world.import_mappings()
        self.guard = "wide"
        for _ in range(3):
            self.shift += 2 * HOUR
            self.process(*TARGETS)
        self.model.judge_planned(self.now, held=self.shown_as_held())
        self.judge("hours without a plan")
        self.sync("full")
        for pause in (2 * HOUR, DAY, 6 * DAY, 2 * HOUR):
            self.shift += pause
            self.plan()
            for held in held_plans.list_held(engine=self.world.engine):
                self.decide(held.id, "approve")
            self.process(*TARGETS)
        self.model.judge_open(self.now, looked=False)
        self.judge("days without a fault")
        self.sync("full")
        for target in TARGETS:
            self.adopt(target)
        for _ in range(3):
            for operation in ("create", "update", "rename", "enable"):
                self.command("retry", TaskFilter(operation=operation))
            self.shift += 2 * HOUR
            self.plan()
            self.process(*TARGETS)
        self.model.judge_listed(self.now, self.listed())
        self.model.judge_end(self.now)
        self.judge("the end")
