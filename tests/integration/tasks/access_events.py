"""What happens to an installation: in HR, in its targets, and by its operators."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from accountsync.store.tasks.task_commands import TaskFilter
from tests.integration.tasks.access_history import DAY, HOUR, NAMES, History
from tests.integration.tasks.access_model import KEY, PHONE, TARGETS, Facts, changed

_PATHS = {
    "idaas": {
        "disable": r"/user/\d+/disable$", "enable": r"/user/\d+/enable$", "update": r"/user/\d+$",
        "find": "/user$", "create": "/user/onboarding$", "all": "/idm-openapi/",
    },
    "welink": {
        "disable": "/user/disable$", "enable": "/user/enable$", "update": "/user/update$",
        "find": "/user/detail$", "create": "/user/create$", "all": "/contact/",
    },
    "email": {
        "disable": "/DisableMailbox$", "enable": "/ConnectMailbox$", "update": "/SetMailbox$",
        "find": "/GetMailbox$", "create": "/EnableMailbox$", "all": "/Exchange/",
    },
}  # fmt: skip
_HR_FAULTS: dict[str, dict[str, Any]] = {
    "status": {"code": 403},
    "drop_before": {"times": None},
    "html": {},
    "page_loss": {"rows": 1},
    "lying_totals": {"off_by": 1},
    "truncated": {"times": None},
}
_FAULTS = ("drop_before", "drop_after", "ok_with_error", "status", "truncated")


def join(history: History) -> None:
    history.say(f"join {history.newcomer(kind=history.draw.choice(('10', '11'))).number}")


def future_hire(history: History) -> None:
    facts = history.newcomer(hire=history.today + history.draw.choice((1, 2, 6)) * DAY)
    history.say(f"future hire {facts.number} on {facts.hire}")


def call_off(history: History) -> None:
    facts = history.somebody("prehire")
    if facts and facts.leave is None:
        if history.draw.random() < 0.5:
            history.put(changed(facts, leave=facts.hire - DAY))
            history.say(f"call off {facts.number}")
        else:
            vanish(history, facts)


def leave(history: History) -> None:
    """A last day is never before the first: that would be a rehire's, or a hire called off."""
    if history.draw.random() < 0.4:
        history.change("active", "leave", status="2")
    elif facts := history.somebody("active", "leave"):
        last = history.today - history.draw.choice((1, 1, 1, 0, -1)) * DAY
        last = max(last, facts.hire)
        history.put(changed(facts, leave=last))
        history.say(f"{facts.number} leaves after {last}")


def come_back(history: History) -> None:
    facts = history.somebody("left")
    if facts and (facts.leave is None or facts.leave >= facts.hire):
        history.put(changed(facts, status="1", leave=None))
        history.say(f"{facts.number} comes back")


def absence(history: History) -> None:
    history.change("active", "leave", status=history.draw.choice(("3", "1")))


def move(history: History) -> None:
    kind = history.draw.choice(("10", "11"))
    history.change(kind=kind, department=history.draw.choice(("D1110", "D1120", "D1200")))


def rename(history: History) -> None:
    history.change(name=history.draw.choice(NAMES))


def phone(history: History) -> None:
    history.change(revision=history.draw.randrange(1, 9_999))


def renumber(history: History) -> None:
    history.numbers += 1
    if facts := history.somebody():
        history.model.renumbered.add(facts.id)
        history.put(changed(facts, number=f"E{history.numbers}"))
        history.say(f"{facts.number} is E{history.numbers} from now on")


def move_hire(history: History) -> None:
    """HR mends a first day, also of somebody who works already. After a last day it would be that
    of a rehire."""
    facts = history.somebody("prehire", "active")
    if facts and facts.leave is None:
        hire = history.today + history.draw.choice((-9, -1, 0, 1, 2, 6)) * DAY
        history.put(changed(facts, hire=hire))
        history.say(f"{facts.number} is hired on {hire}")


def swap(history: History) -> None:
    one, other = history.somebody(), history.somebody()
    if one and other and one.id != other.id:
        history.model.contested |= {one.id, other.id}
        history.put(changed(one, number=other.number), changed(other, number=one.number))
        history.say(f"swap {one.number} and {other.number}")


def reuse(history: History) -> None:
    """The number of somebody who left, who has another one from now on or none."""
    facts = history.somebody("left")
    if facts:
        history.numbers += 1
        if history.draw.random() < 0.7:
            history.put(changed(facts, number=f"L{history.numbers}"))
            newcomer = history.newcomer(number=facts.number)
            history.model.contested.add(newcomer.id)
            history.say(f"{facts.number} is {newcomer.id} now, before it was {facts.id}")


def vanish(history: History, facts: Facts | None = None) -> None:
    facts = facts or history.somebody()
    if facts:
        history.world.sims.hr.vanish(facts.id)
        history.hr[facts.id] = changed(facts, is_there=False)
        history.say(f"{facts.number} vanishes")


def reappear(history: History) -> None:
    away = [facts for facts in history.hr.values() if not facts.is_there]
    if away:
        facts = history.draw.choice(away)
        history.put(changed(facts, is_there=True))
        history.say(f"{facts.number} is there again")


def fault(history: History) -> None:
    target, kind = history.draw.choice(TARGETS), history.draw.choice(_FAULTS)
    asked = history.draw.choice(sorted(_PATHS[target]))
    options: dict[str, Any] = {"path": _PATHS[target][asked], "seed": history.draw.randrange(99)}
    if kind == "status":
        options["code"] = history.draw.choice((500, 503))
    if kind == "ok_with_error":
        options["path"] = _PATHS[target][history.draw.choice(("disable", "enable", "update"))]
    options["probability"] = history.draw.choice((0.5, 1.0))
    options["times"] = history.draw.choice((1, 3, None))
    history.world.target(target).fault(kind, **options)
    history.faulted.add(target)
    history.say(f"fault {target} {kind} {options}")


def hr_fault(history: History) -> None:
    """A read that ends with an error, or is not complete, is as if there had been none."""
    kind = history.draw.choice(sorted(_HR_FAULTS))
    options = {"path": "/hr_person_info$", "skip": history.draw.choice((0, 0, 1))}
    history.world.sims.hr.fault(kind, **options, **_HR_FAULTS[kind])
    history.say(f"HR: {kind} {options}")
    history.misread(history.draw.choice(("auto", "full")))
    history.world.sims.hr.heal()


def lose(history: History) -> None:
    """Something about a person is asked for, the target does not answer, and nor does it to those
    who look what became of it."""
    target, asked = history.draw.choice(TARGETS), _asked(history)
    history.world.target(target).faults(
        {"kind": history.draw.choice(("drop_before", "drop_after")), "path": _PATHS[target][asked]},
        {
            "kind": "status",
            "code": 500,
            "path": _PATHS[target]["find"],
            "skip": history.draw.choice((0, 1, 1)),
        },
    )
    _let_be(history, target, asked)


def exhaust(history: History) -> None:
    """What became of a request is looked for so long that it is a human's case."""
    target, asked = history.draw.choice(TARGETS), _asked(history)
    kind = history.draw.choice(("drop_before", "drop_after"))
    history.world.target(target).faults(
        {"kind": kind, "path": _PATHS[target][asked], "times": 1},
        {"kind": "status", "code": 500, "path": _PATHS[target]["find"], "skip": 1},
    )
    _let_be(history, target, asked, hours=14)
    if history.draw.random() < 0.7:
        history.heal()
        leave(history)


def refuse(history: History) -> None:
    """Something about a person is asked for, and refused until the target is well again."""
    target, asked = history.draw.choice(TARGETS), _asked(history)
    history.world.target(target).fault("ok_with_error", path=_PATHS[target][asked])
    _let_be(history, target, asked)


def _asked(history: History) -> str:
    """What is asked for, by which change."""
    changes = {
        "update": phone, "disable": leave, "enable": come_back, "create": join,
    }  # fmt: skip
    asked = history.draw.choice(("update", "disable", "disable", "enable", "create"))
    changes[asked](history)
    return asked


def _let_be(history: History, target: str, asked: str, *, hours: int = 2) -> None:
    history.faulted.add(target)
    history.sync()
    history.plan()
    for _ in range(hours):
        history.shift += HOUR * (hours > 2)
        history.process(*TARGETS)
    if is_healed := history.draw.random() < 0.5:
        history.heal()
    history.say(f"{target} does not do what is asked: {asked}, is healed: {is_healed}")


def heal(history: History) -> None:
    history.heal()


def help_desk_enables(history: History) -> None:
    if place := history.account(enabled=False):
        history.by_hand(place, enabled=True)
        history.model.shut.discard(place)
        history.model.opened.add(place)


def security_disables(history: History) -> None:
    if place := history.account(enabled=True):
        history.by_hand(place, enabled=False)
        if place[0] not in history.faulted:
            history.model.shut.add(place)


def rekey(history: History) -> None:
    if place := history.account():
        history.numbers += 1
        target, stranger = place[0], f"S{history.numbers}"
        changes = {KEY[target]: stranger}
        if target in PHONE:
            changes[PHONE[target]] = "13800000000"
        history.by_hand(place, **changes)
        accounts = history.world.target(target).accounts()
        (history.model.strangers[place],) = [a for a in accounts if a["id"] == place[1]]


def rekey_to_a_colleague(history: History) -> None:
    """By hand an account is given to a colleague who has none: no target here takes a key twice."""
    place, colleague = history.account(), history.somebody("active")
    if not place or not colleague or place[0] not in PHONE:
        return
    target, owner = place[0], history.model.owners[place]
    keys = {account[KEY[target]] for account in history.model.shown[target].values()}
    if owner == colleague.id or colleague.number in keys:
        return
    history.by_hand(place, **{KEY[target]: colleague.number, PHONE[target]: colleague.phone})
    history.model.touched.add((colleague.id, target))
    history.model.owners[place] = colleague.id
    history.model.opened.add(place)


def hand_delete(history: History) -> None:
    if place := history.account():
        target, account_id = place
        history.world.target(target).remove(account_id)
        history.say(f"by hand {target}/{account_id} removed")
        if (owner := history.model.owners[place]) is not None:
            history.model.touched.add((owner, target))


def found(history: History) -> None:
    """Somebody who joins has an account already, usable or not."""
    facts = history.newcomer()
    enabled, target = history.draw.random() < 0.5, history.draw.choice(("idaas", "welink"))
    base = {
        "idaas": {"userName": f"old{facts.number}", "email": f"o{facts.number}@x.example"},
        "welink": {"userNameCn": facts.name, "userEmail": "o@x.example"},
    }[target]
    seeded = {**base, KEY[target]: facts.number, PHONE[target]: facts.phone}
    (account,) = history.world.target(target).seed({**seeded, "enabled": enabled})
    place = (target, account["id"])
    history.model.owners[place] = facts.id
    history.model.touched.add((facts.id, target))
    history.model.opened.add(place)
    if not enabled:
        history.model.shut.add(place)
    history.say(f"{facts.number} joins and has {target}/{account['id']} enabled={enabled}")


def pass_time(history: History) -> None:
    history.shift += (step := history.draw.choice((HOUR, 5 * HOUR, DAY, 3 * DAY)))
    history.say(f"{step} pass")


def adoption(history: History) -> None:
    history.say("adopt")
    history.sync()
    for target in TARGETS:
        history.adopt(target)
    history.see(by_us=True)


def held(history: History) -> None:
    """A plan that holds every disable, and what is decided about it."""
    history.guard = "low"
    history.sync()
    summary = history.plan()
    history.guard = "wide"
    decision = history.draw.choice(("approve", "reject", "reject twice", "nothing"))
    history.say(f"a plan holds {summary.held}: {decision}")
    if summary.held and decision != "nothing":
        history.decide(summary.plan_id, decision)


def late_decision(history: History) -> None:
    """About a plan of some time ago, whatever has become of it."""
    plan = history.draw.randrange(1, history.plans() + 1)
    decision = history.draw.choice(("approve", "reject"))
    history.say(f"plan {plan} is decided late: {decision}")
    history.decide(plan, decision)


def retry(history: History) -> None:
    target = history.draw.choice(TARGETS)
    history.say(f"retry {target}: {history.command('retry', TaskFilter(target=target))}")


def cancel(history: History) -> None:
    target = history.draw.choice(TARGETS)
    operation = history.draw.choice(("disable", "update", "create", "enable"))
    for facts in list(history.model.read.values()):
        chosen = TaskFilter(target=target, operation=operation, person=facts.number)
        if history.draw.random() < 0.5 and history.command("cancel", chosen):
            history.say(f"cancel {operation} of {facts.number} in {target}")
            if operation == "disable":
                history.model.refused.add((facts.id, target))
            else:  # and whatever depends on it
                history.model.given_up |= {(facts.id, other) for other in TARGETS}


def configure(history: History) -> None:
    rules = history.model.rules
    name, values = history.draw.choice(
        [("welink", ("everybody", "employees")), ("leaver", ("keep", "disable")),
         ("leave", ("keep", "disable")), ("prehire", ("0s", "72h"))]
    )  # fmt: skip
    history.model.rules = replace(rules, **{name: history.draw.choice(values)})
    history.say(f"configure {history.model.rules}")


def unmap(history: History) -> None:
    """A department is missing in the mapping, or is there again."""
    department = history.draw.choice(("D1110", "D1120", "D1200"))
    if history.world.unmap(department):
        history.say(f"{department} is not mapped any more")
    else:
        history.world.import_mappings()
        history.say("all departments are mapped")


EVENTS: dict[Callable[[History], None], int] = {
    join: 3,
    future_hire: 3,
    move_hire: 3,
    call_off: 3,
    leave: 8,
    come_back: 4,
    absence: 2,
    move: 3,
    rename: 2,
    phone: 5,
    renumber: 3,
    swap: 3,
    reuse: 3,
    vanish: 4,
    reappear: 3,
    fault: 5,
    hr_fault: 3,
    lose: 4,
    exhaust: 4,
    refuse: 5,
    heal: 5,
    help_desk_enables: 3,
    security_disables: 3,
    rekey: 3,
    rekey_to_a_colleague: 2,
    hand_delete: 2,
    found: 2,
    pass_time: 5,
    adoption: 2,
    held: 3,
    late_decision: 2,
    unmap: 3,
    retry: 2,
    cancel: 2,
    configure: 3,
}
"""What may happen, and how often."""
