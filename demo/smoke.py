"""The proof: the whole demo in a folder of its own, its result checked person by person."""

from collections.abc import Callable

from . import stack
from .chain import await_dags, run_chain, run_each
from .http_json import call
from .processes import Supervisor
from .run import reset
from .settings import TARGETS, Ports, State
from .verdict import World, problems, read_world

_JOINERS = 5
_LEAVERS = 3


def smoke(
    state: State, say: Callable[[str], None], interrupted: Callable[[], bool], *, persons: int
) -> int:
    """Start, synchronise, check, synchronise again, check again, clean up; 0 when all was right."""
    reset(state, say)
    supervisor = Supervisor(state.root, say=say, interrupted=interrupted)
    try:
        with stack.running(state, Ports.free(), supervisor, persons=persons) as parts:
            await_dags(parts)
            found = _rounds(parts, say)
    except Exception:
        _keep_logs(state, say)
        raise
    reset(state, say)
    for problem in found:
        say(f"FAILED {problem}")
    say("Smoke test: " + ("FAILED" if found else "passed"))
    return 1 if found else 0


def _rounds(parts: stack.Stack, say: Callable[[str], None]) -> list[str]:
    urls = {name: parts.url(name) for name in ("hr", *TARGETS)}
    say("Round 1: everybody")
    run_chain(parts, say)
    first = read_world(urls)
    say(f"  {_verdict(first)}")
    say("Round 2: nothing has changed")
    run_each(parts, say)
    second = read_world(urls)
    changed = [f"{name}: changed in round 2" for name in TARGETS if _differs(first, second, name)]
    say(f"  {_verdict(second)}")
    say(f"Round 3: {_JOINERS} people join")
    call("POST", f"{urls['hr']}/_sim/events", body={"join": _JOINERS})
    run_chain(parts, say)
    third = read_world(urls)
    say(f"  {_verdict(third)}")
    say(f"Round 4: {_LEAVERS} people leave")
    call("POST", f"{urls['hr']}/_sim/events", body={"leave": _LEAVERS})
    run_chain(parts, say)
    fourth = read_world(urls)
    say(f"  {_verdict(fourth)}")
    lost = [f"{name}: deleted in round 4" for name in TARGETS if _lost(third, fourth, name)]
    happened = [*_moved(second, third, _JOINERS), *_moved(third, fourth, -_LEAVERS)]
    return [*problems(first), *changed, *happened, *problems(third), *lost, *problems(fourth)]


def _moved(before: World, after: World, expected: int) -> list[str]:
    """Whether HR itself did what it was told: else the verdict means nothing."""
    found = len(after.entitled) - len(before.entitled)
    return [] if found == expected else [f"hr: {found:+} persons instead of {expected:+}"]


def _lost(before: World, after: World, target: str) -> bool:
    return len(after.accounts[target]) < len(before.accounts[target])


def _differs(before: World, after: World, target: str) -> bool:
    return list(before.accounts[target]) != list(after.accounts[target])


def _verdict(world: World) -> str:
    accounts = ", ".join(f"{name} {count}" for name, count in world.counts().items())
    entitled, verdict = len(world.entitled), "wrong" if problems(world) else "right"
    return f"persons {len(world.persons)}, entitled {entitled}, accounts: {accounts}: {verdict}"


def _keep_logs(state: State, say: Callable[[str], None]) -> None:
    say(f"The logs are kept in {state.root / 'logs'}")
