"""A target that is down, or wants to be left in peace, keeps its queue and recovers (I13)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest

from accountsync.errors import ConfigurationError, TargetDownError
from demo import ports
from simulators.run import Sims
from tests.integration.tasks.targets_world import TargetsWorld

ONBOARDING = "/user/onboarding"
MINUTE = timedelta(minutes=1)
AFTER, AT_ONCE = 10, 4
"""Bad answers in a row that open the breaker; calls in flight, which may come on top. Together they
are far fewer than the people there are."""
SETTINGS = {
    "settings": {"breaker": {"after": AFTER, "base": "1m", "cap": "15m"}},
    "idaas": {"rate": {"concurrency": AT_ONCE}},
}


@dataclass
class Clock:
    now: datetime

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock(datetime.now(UTC))


@pytest.fixture
def world(planned: TargetsWorld) -> TargetsWorld:
    return replace(planned, changes=SETTINGS)


def _unreachable(world: TargetsWorld) -> TargetsWorld:
    sims = Sims()
    sims.ports = world.sims.ports | {"idaas": ports.free(1)[0]}
    return replace(world, sims=sims)


def _an_hour(world: TargetsWorld, clock: Clock) -> list[str]:
    """A run every five minutes; what each of them ended with."""
    ends = []
    for _ in range(12):
        try:
            ends.append(world.process("idaas", clock=clock).breaker)
        except (TargetDownError, ConfigurationError) as error:
            ends.append(type(error).__name__)
        clock.now += 5 * MINUTE
    return ends


def _burnt(world: TargetsWorld) -> int:
    return int(
        world.scalar("SELECT sum(attempts) FROM accountsync.account_task WHERE system = 'idaas'")
    )


def test_a_target_down_for_an_hour_keeps_its_queue_and_fails_one_run_only(
    world: TargetsWorld, clock: Clock
) -> None:
    """One failed run is one mail; no attempt is burnt; it recovers by itself."""
    queue = world.states("idaas", "create")
    assert _an_hour(_unreachable(world), clock) == ["TargetDownError"] + 11 * ["open"]
    assert world.states("idaas", "create") == queue
    assert _burnt(world) == 0
    clock.now += 15 * MINUTE
    summary = world.process("idaas", clock=clock)
    assert summary.breaker == "closed"
    assert world.states("idaas", "create") == {"succeeded": len(world.entitled())}


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status", "code": 503},
        {"kind": "status", "code": 500},
        {"kind": "drop_before"},
        {"kind": "html"},
    ],
    ids=str,
)
def test_a_target_that_answers_nobody_for_an_hour_is_not_asked_by_everybody(
    world: TargetsWorld, clock: Clock, fault: dict[str, object]
) -> None:
    """Behind a load balancer "down" is an answer: the calls that showed it are all it costs."""
    world.sims.idaas.faults({**fault, "path": "/user|/token"})
    ends = _an_hour(world, clock)
    assert ends == ["TargetDownError"] + 11 * ["open"]
    assert AFTER <= _burnt(world) < AFTER + AT_ONCE < len(world.entitled())
    assert world.states("idaas", "create")["failed"] == 0
    world.sims.idaas.heal()
    clock.now += 15 * MINUTE
    world.process("idaas", clock=clock)
    assert world.states("idaas", "create") == {"succeeded": len(world.entitled())}
    assert set(world.there("idaas").values()) == {1}


def test_after_an_outage_one_call_goes_first(world: TargetsWorld, clock: Clock) -> None:
    """What answers the connection test may still refuse the work: that costs one attempt a look.
    What waits for a human was not asked of it, and is no sign of its life."""
    by_hand = {"disable": None, "manual": {"disable": "ask the help desk"}}
    world = replace(world, changes=SETTINGS | {"idaas": SETTINGS["idaas"] | by_hand})
    world.process("idaas", clock=clock, max_tasks=3)
    world.sims.idaas.fault("status", code=503, path=ONBOARDING)
    with pytest.raises(TargetDownError):
        world.process("idaas", clock=clock)
    world.ask("idaas", "disable", reason="left", persons=3)
    burnt = _burnt(world)
    for looks in (1, 2, 3):
        clock.now += 20 * MINUTE
        few = 7  # of eight or more one is picked for its age; of these the leavers go first
        assert world.process("idaas", clock=clock, max_tasks=few).breaker == "open"
        assert _burnt(world) <= burnt + looks
    assert world.states("idaas", "disable") == {"needs_human": 3}


def test_an_operator_who_asks_is_answered_at_once(world: TargetsWorld, clock: Clock) -> None:
    down = _unreachable(world)
    for _ in range(2):
        with pytest.raises(TargetDownError, match="cannot connect"):
            down.process("idaas", clock=clock, at_once=True)
    assert world.process("idaas", clock=clock).breaker == "open"
    assert world.process("idaas", clock=clock, at_once=True).breaker == "closed"


def test_a_target_that_was_well_in_between_is_news_when_it_fails_again(
    world: TargetsWorld, clock: Clock
) -> None:
    down = _unreachable(world)
    with pytest.raises(TargetDownError):
        down.process("idaas", clock=clock)
    clock.now += MINUTE
    assert world.process("idaas", clock=clock, max_tasks=3).breaker == "closed"
    clock.now += MINUTE
    with pytest.raises(TargetDownError):
        down.process("idaas", clock=clock)


def test_too_many_requests_slows_all_calls_down_and_burns_no_attempt(world: TargetsWorld) -> None:
    """Of the calls in flight all may be refused; then one asks again, not everybody."""
    world.sims.idaas.fault("too_many_requests", path=ONBOARDING, retry_after=1, times=AT_ONCE + 1)
    summary = world.process("idaas")
    everybody = len(world.entitled())
    assert summary.outcomes == {"retry": AT_ONCE + 1, "succeeded": everybody}
    assert _burnt(world) == everybody
    assert world.requests("idaas")[0] == everybody + AT_ONCE + 1


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_a_ban_that_outlasts_the_run_is_kept_by_the_next_ones(
    world: TargetsWorld, clock: Clock, form: str
) -> None:
    """Green: the target is well, and said when."""
    world.sims.idaas.fault("too_many_requests", path=ONBOARDING, retry_after=1800, form=form)
    assert world.process("idaas", clock=clock).breaker == "paused"
    asked = world.requests("idaas")[0]
    for _ in range(5):
        clock.now += 5 * MINUTE
        assert world.process("idaas", clock=clock).outcomes == {}
    assert world.requests("idaas")[0] == asked
    world.sims.idaas.heal()
    clock.now += 10 * MINUTE
    assert world.process("idaas", clock=clock).breaker == "closed"
    assert world.states("idaas", "create") == {"succeeded": len(world.entitled())}


def test_other_targets_do_not_notice(world: TargetsWorld, clock: Clock) -> None:
    world.drain()
    world.ask("idaas", "disable")
    everybody = world.ask("welink", "disable")
    clock.now += MINUTE
    with pytest.raises(TargetDownError):
        _unreachable(world).process("idaas", clock=clock)
    assert world.process("welink", clock=clock).outcomes == {"succeeded": everybody}
