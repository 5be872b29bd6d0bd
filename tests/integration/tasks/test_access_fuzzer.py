"""Histories of everything that goes wrong between HR and targets, judged by what the targets
contain. Many more: python -m tests.integration.tasks.access_fuzzer --seeds 0-999"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from random import Random
from typing import Any

import pytest
from sqlalchemy import Engine

from accountsync.domain.plans import steps
from accountsync.domain.plans.steps import Step
from accountsync.domain.tasks.outcomes import Result
from accountsync.jobs.tasks import processor
from accountsync.targets import rest_look
from simulators.run import Sims
from tests.integration.tasks.access_events import rekey
from tests.integration.tasks.access_fuzzer import begin, drawn, outcome, simulators
from tests.integration.tasks.access_history import HOUR, Diverged, History
from tests.integration.tasks.access_model import TARGETS, Facts, Model, changed
from tests.integration.tasks.targets_world import TargetsWorld

SEEDS = (*range(12),)
Broken = tuple[Any, str, Any]
NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
IT = ("idaas", "1")


@pytest.fixture(scope="module")
def sims() -> Iterator[Sims]:
    with simulators() as running:
        yield running


@pytest.mark.parametrize("seed", SEEDS)
def test_targets_contain_what_they_must(engine: Engine, sims: Sims, seed: int) -> None:
    """I4, I9, I11, I17, I18, I19."""
    wrong, told = outcome(engine, sims, seed, drawn(seed))
    assert wrong is None, "\n".join([wrong, *told])


def in_doubt(history: History) -> None:
    """An update of which nobody could find out what became, and then its person leaves."""
    facts = history.newcomer()
    history.sync()
    history.plan()
    history.process(*TARGETS)
    history.world.sims.welink.faults(
        {"kind": "drop_before", "path": "/user/update$", "times": 1},
        {"kind": "status", "code": 500, "path": "/user/detail$", "skip": 1},
    )
    history.put(changed(facts, revision=5))
    history.sync()
    history.plan()
    for _ in range(14):
        history.shift += HOUR
        history.process("welink")
    history.heal()
    history.put(changed(facts, revision=5, status="2"))


def refused(history: History) -> None:
    """A disable is refused until the target is well again."""
    history.world.sims.welink.fault("ok_with_error", path="/user/disable$")
    history.change("active", status="2")
    history.sync()
    history.plan()
    history.process(*TARGETS)


def reissued(history: History) -> None:
    """By hand accounts are given to somebody else, and then their owners leave."""
    history.process(*TARGETS)
    for _ in range(9):
        rekey(history)
    history.put(*(changed(facts, status="2") for facts in history.hr.values()))


def given_up(result: Result, **_: Any) -> Result:
    """What the target refuses has failed, removals as well."""
    return result


def alike(*_: Any) -> bool:
    """Whatever key an account shows, it is the person's."""
    return True


def later(*_: Any) -> Step:
    """Whatever waits for a human is waited for."""
    return Step.LATER


@pytest.mark.parametrize(
    ("happens", "broken", "seen"),
    [
        (in_doubt, (steps, "_step_in_doubt", later), "forgotten"),
        (refused, (processor, "asked_again", given_up), "let be"),
        (reissued, (rest_look, "is_like", alike), "stranger"),
    ],
)
def test_a_product_that_lets_access_be_is_seen(
    engine: Engine,
    sims: Sims,
    monkeypatch: pytest.MonkeyPatch,
    happens: Callable[[History], None],
    broken: Broken,
    seen: str,
) -> None:
    """A fuzzer that would see none of it proves nothing (I17, I18)."""
    monkeypatch.setattr(*broken)
    history = History(world=TargetsWorld(engine=engine, sims=sims), draw=Random(1))
    begin(history, seed=1)
    happens(history)
    with pytest.raises(Diverged, match=f"^{seen}: "):
        history.settle()


def shown(facts: Facts, *, number: str = "1", **changes: Any) -> dict[str, Any]:
    account = {"id": number, "employeeNumber": facts.number, "userName": "z", "enabled": True,
               "name": facts.name, "mobile": facts.phone}  # fmt: skip
    return account | changes


PERSON = Facts(id=500_001, number="1001", name="张伟")
OTHER = Facts(id=500_002, number="1002", name="李娜")
LEAVER = replace(PERSON, leave=date(2026, 5, 1))


def judged(facts: Facts, *after: dict[str, Any], before: bool = True, **known: Any) -> list[str]:
    """The kinds of divergence that the model sees in one step of ours."""
    model = Model(read={facts.id: facts, OTHER.id: OTHER})
    model.plan(NOW)
    if before:
        model.see("idaas", [shown(facts, enabled=False)], by_us=False)
    for name, value in known.items():
        setattr(model, name, value)
    model.see("idaas", list(after), by_us=True)
    return [text.partition(":")[0] for text in model.wrong]


@pytest.mark.parametrize(
    ("kind", "seen"),
    [
        ("shut", lambda: judged(PERSON, shown(PERSON), shut={IT})),
        ("stranger", lambda: judged(PERSON, shown(PERSON), strangers={IT: {"id": "1"}})),
        ("lacking", lambda: judged(PERSON, shown(PERSON), lacking={PERSON.id})),
        ("lacking", lambda: judged(PERSON, shown(PERSON), lacking={PERSON.id}, before=False)),
        ("given", lambda: judged(LEAVER, shown(LEAVER))),
        ("given", lambda: judged(replace(PERSON, hire=date(2026, 7, 1)), shown(PERSON))),
        ("mixed", lambda: judged(PERSON, shown(PERSON, mobile=OTHER.phone))),
        ("two", lambda: judged(PERSON, shown(PERSON), shown(PERSON, number="2"), before=False)),
        ("deleted", lambda: judged(PERSON)),
        ("nobody's", lambda: judged(PERSON, shown(PERSON, mobile="7"), before=False)),
    ],
)
def test_what_we_do_wrong_is_seen(kind: str, seen: Callable[[], list[str]]) -> None:
    """A judge that lets everything pass proves nothing."""
    assert kind in seen()


def test_what_we_do_right_is_no_divergence() -> None:
    assert judged(PERSON, shown(PERSON)) == []
    assert judged(PERSON, shown(PERSON), before=False) == []
    assert judged(LEAVER, shown(LEAVER, enabled=False)) == []


def ended(facts: Facts, *accounts: dict[str, Any], **known: Any) -> list[str]:
    model = Model(read={facts.id: facts})
    model.see("idaas", list(accounts), by_us=False)
    for name, value in known.items():
        setattr(model, name, value)
    model.judge_listed(NOW, set())
    model.judge_end(NOW)
    return [text.partition(":")[0] for text in model.wrong if "welink" not in text]


def test_open_access_and_what_somebody_lacks_are_seen() -> None:
    assert ended(LEAVER, shown(LEAVER)) == ["forgotten", "open"]
    assert ended(LEAVER, shown(LEAVER), opened={IT}) == ["open"]
    assert ended(LEAVER, shown(LEAVER), refused={(LEAVER.id, "idaas")}) == ["forgotten"]
    assert ended(LEAVER, shown(LEAVER), strangers={IT: {}}) == []
    assert "without" in ended(PERSON, shown(PERSON, enabled=False))
    assert "data" in ended(PERSON, shown(PERSON, name="李娜"))
