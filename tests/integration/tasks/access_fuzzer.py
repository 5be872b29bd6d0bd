"""Histories of HR, targets, help desk, security and operators, judged by what targets contain.

Run one: `python -m tests.integration.tasks.access_fuzzer --seeds 0-999 [--tell] [--shrink]`
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from random import Random

from sqlalchemy import Engine, make_url

from accountsync.store.engine import make_engine
from demo import postgres
from simulators import run
from simulators.run import HrOptions, Sims, TargetOptions
from tests.databases import Databases
from tests.integration.tasks import access_events
from tests.integration.tasks.access_events import EVENTS
from tests.integration.tasks.access_history import Diverged, History
from tests.integration.tasks.access_model import TARGETS
from tests.integration.tasks.targets_world import TargetsWorld

LONGEST = 10


def drawn(seed: int) -> list[tuple[str, int]]:
    """Events, each with a seed of its own, so that any may be left out."""
    draw = Random(seed)
    names = [event.__name__ for event in EVENTS]
    names = draw.choices(names, list(EVENTS.values()), k=draw.randrange(4, LONGEST + 1))
    return [(name, draw.randrange(10**9)) for name in names]


def begin(history: History, seed: int) -> None:
    """Five people, of whom all, some or none have accounts; in half of all histories somebody has
    looked for accounts that were there before."""
    world = history.world
    for client in (world.sims.hr, *(world.target(t) for t in TARGETS)):
        client.heal()
        client.reset()
    world.import_mappings()
    if seed % 2:
        for target in TARGETS:
            world.was_adopted(target)
    for _ in range(5):
        history.newcomer()
    history.sync("full")
    history.plan()
    if seed % 3:
        history.process(*TARGETS)


def live(history: History, events: Sequence[tuple[str, int]]) -> None:
    """Raises Diverged."""
    for name, seed in events:
        history.draw = Random(seed)
        history.shift += timedelta(minutes=1)
        getattr(access_events, name)(history)
        history.see(by_us=False)
        beat(history)
    history.draw = Random(0)
    history.settle()


def beat(history: History) -> None:
    """What our schedules do between two events: all, some or nothing of it."""
    draw = history.draw
    if draw.random() < 0.7:
        history.sync(mode := draw.choice(("auto", "full")))
        history.say(f"  sync {mode}")
    if draw.random() < 0.75:
        history.plan()
        history.say("  plan")
    for target in TARGETS:
        if draw.random() < 0.7:
            history.process(target)
            history.say(f"  process {target}")


def outcome(
    engine: Engine, sims: Sims, seed: int, events: Sequence[tuple[str, int]]
) -> tuple[str | None, list[str]]:
    """What diverged, and the history."""
    history = History(world=TargetsWorld(engine=engine, sims=sims), draw=Random(seed))
    try:
        begin(history, seed)
        live(history, events)
    except Diverged as error:
        return str(error), history.told
    except Exception as error:  # noqa: BLE001 - whatever ends a run is a finding, too
        where = traceback.extract_tb(error.__traceback__)[-1]
        return f"raised: {type(error).__name__} {where.name} {error}"[:600], history.told
    return None, history.told


@dataclass(kw_only=True)
class Bench:
    """A server and simulators for many seeds."""

    databases: Databases
    sims: Sims

    def run(self, seed: int, events: Sequence[tuple[str, int]]) -> tuple[str | None, list[str]]:
        with self.databases.one() as url:
            engine = make_engine(url.render_as_string(hide_password=False))
            try:
                return outcome(engine, self.sims, seed, events)
            finally:
                engine.dispose()

    def shortest(self, seed: int, events: list[tuple[str, int]], kind: str) -> list[str]:
        """The history, without every event whose absence changes nothing."""
        told = self.run(seed, events)[1]
        for n in reversed(range(len(events))):
            fewer = [*events[:n], *events[n + 1 :]]
            wrong, lines = self.run(seed, fewer)
            if wrong and wrong.split(":")[0] == kind:
                events, told = fewer, lines
        return told


def simulators() -> AbstractContextManager[Sims]:
    target = TargetOptions()
    return run.running(hr=HrOptions(persons=0), idaas=target, welink=target, exchange=target)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", default="0-99")
    parser.add_argument("--tell", action="store_true", help="the history of what diverges")
    parser.add_argument("--shrink", action="store_true", help="… the shortest, which takes longer")
    asked = parser.parse_args(arguments)
    logging.disable(logging.CRITICAL)
    first, _, last = asked.seeds.partition("-")
    seeds = range(int(first), int(last or first) + 1)
    started, kinds = time.monotonic(), Counter[str]()
    fast = {"fsync": "off", "synchronous_commit": "off", "max_connections": "60"}
    with (
        tempfile.TemporaryDirectory(prefix="accountsync-fuzz-") as folder,
        postgres.shared(Path(folder) / "server", settings=fast) as server,
        simulators() as sims,
    ):
        bench = Bench(databases=Databases(make_url(server.url("postgres"))), sims=sims)
        for seed in seeds:
            if kind := _tried(bench, seed, tell=asked.tell, shrink=asked.shrink):
                kinds[kind] += 1
            if seed % 20 == 19:
                _print(f"{seed + 1 - seeds[0]} seeds, {time.monotonic() - started:.0f} s")
    _print(f"{len(seeds)} seeds; diverging: {dict(kinds) or 'none'}")
    return min(1, kinds.total())


def _tried(bench: Bench, seed: int, *, tell: bool, shrink: bool) -> str | None:
    """How a seed diverges."""
    wrong, told = bench.run(seed, drawn(seed))
    if wrong is None:
        return None
    kind = wrong.partition(":")[0]
    _print(f"seed {seed}: {wrong}")
    if shrink:
        told = bench.shortest(seed, drawn(seed), kind)
    if tell or shrink:
        _print("   " + "\n   ".join(told))
    return kind


def _print(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - a command


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
