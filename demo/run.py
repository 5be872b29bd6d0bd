"""The demo a person looks at: start, fill, show, stay."""

import shutil
import time
from collections.abc import Callable

from . import postgres, stack
from .chain import SYNC, await_dags, run_chain
from .checks import check_machine
from .http_json import call
from .panel import panel
from .processes import Supervisor, stop_leftovers
from .progress import Progress
from .settings import Ports, State

_LOOK_SECONDS = 1.0


def run(
    state: State,
    ports: Ports,
    say: Callable[[str], None],
    interrupted: Callable[[], bool],
    *,
    persons: int,
    scim: bool,
) -> None:
    """Start everything, run the chain once, show the panel and stay until interrupted.

    Raises InterruptedRunError in the end; another error when a part dies.
    """
    clear_leftovers(state, say)
    check_machine(ports, state.root, needed=_needed(state, ports, scim=scim))
    say(f"Starting AccountSync in {state.root}")
    supervisor = Supervisor(state.root, say=say, interrupted=interrupted)
    with stack.running(state, ports, supervisor, persons=persons, scim=scim) as parts:
        await_dags(parts)
        say("HR is read, tasks are created, accounts are made:")
        seen = _changes(parts)
        counts = run_chain(parts, say)
        say(panel(ports, parts.secrets.admin_password, counts, state.root))
        _stay(parts, Progress(parts, say, shown=counts.line()), say, seen)


def reset(state: State, say: Callable[[str], None]) -> None:
    """Stop what runs and delete everything the demo ever wrote."""
    clear_leftovers(state, say)
    postgres.remove(state.postgres)
    for path in state.root.iterdir():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        elif path.name != "lock":  # held by us
            path.unlink()
    say(f"{state.root} is empty")


def clear_leftovers(state: State, say: Callable[[str], None]) -> None:
    """Stop programs that a killed demo left running. PostgreSQL is reused, not stopped."""
    names = stop_leftovers(state.root)
    if names:
        say(f"Stopped what an earlier demo left running: {', '.join(names)}")


def _needed(state: State, ports: Ports, *, scim: bool) -> frozenset[str]:
    """Ports that must be free: not PostgreSQL's when ours runs already, not SCIM's without it."""
    spared = set() if scim else {"scim"}
    if postgres.running(state.postgres):
        spared.add("postgres")
    return frozenset(ports.names()) - spared


def _stay(parts: stack.Stack, progress: Progress, say: Callable[[str], None], seen: int) -> None:
    """Say when the counts change, until somebody interrupts or a part dies.

    When something happens to people after the `seen` changes, HR is read at once: nobody watches
    for ten minutes.
    """
    while True:
        parts.check()
        progress.look()
        changes = _changes(parts)
        if changes != seen:
            seen = changes
            parts.api.trigger(SYNC)
            say(f"  HR has changed: triggered {SYNC}")
        time.sleep(_LOOK_SECONDS)


def _changes(parts: stack.Stack) -> int:
    return int(call("GET", f"{parts.url('hr')}/_sim/state")["changes"])
