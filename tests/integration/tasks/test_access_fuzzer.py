"""Histories of everything that goes wrong between HR and targets, judged by what the targets
contain. Many more: python -m tests.integration.tasks.access_fuzzer --seeds 0-999"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from simulators.run import Sims
from tests.integration.tasks.access_fuzzer import compile_once, drawn, outcome, simulators

SEEDS = (*range(12),)


@pytest.fixture(scope="module")
def sims() -> Iterator[Sims]:
    with simulators() as running:
        yield running


@pytest.mark.parametrize("seed", SEEDS)
def test_targets_contain_what_they_must(
    engine: Engine, sims: Sims, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I4, I9, I11, I17, I18, I19."""
    compile_once(monkeypatch.setattr)
    wrong, told = outcome(engine, sims, seed, drawn(seed))
    assert wrong is None, "\n".join([wrong, *told])
