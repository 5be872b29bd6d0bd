from __future__ import annotations

from collections.abc import Iterator

import pytest
from sim_wire import Wire

from simulators.run import HrOptions, MailOptions, Sims, TargetOptions, running


@pytest.fixture
def sims() -> Iterator[Sims]:
    with running(
        hr=HrOptions(persons=250),
        idaas=TargetOptions(),
        welink=TargetOptions(),
        exchange=TargetOptions(),
        mail=MailOptions(),
    ) as sims:
        yield sims


@pytest.fixture
def wire(sims: Sims) -> Iterator[Wire]:
    wire = Wire(sims)
    with wire.session:
        yield wire
