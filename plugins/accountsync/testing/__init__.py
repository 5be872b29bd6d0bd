"""What every connector has to keep, as tests for the author of a connector (docs/connectors.md).

    from accountsync.testing import ConnectorContract

    class TestBadges(ConnectorContract):
        @pytest.fixture
        def subject(self, tmp_path: Path) -> Subject:
            return BadgesSubject(tmp_path)

It needs pytest, which nothing else in the package needs, so nothing else imports it.
"""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite(
    "accountsync.testing.changes",
    "accountsync.testing.dry_runs",
    "accountsync.testing.faults",
    "accountsync.testing.lists",
    "accountsync.testing.look_ups",
    "accountsync.testing.whose",
)

from accountsync.testing.changes import ChangeContract  # noqa: E402
from accountsync.testing.dry_runs import DryRunContract  # noqa: E402
from accountsync.testing.faults import FaultContract  # noqa: E402
from accountsync.testing.lists import ListContract  # noqa: E402
from accountsync.testing.look_ups import LookUpContract  # noqa: E402
from accountsync.testing.subject import (  # noqa: E402
    Act,
    Attributes,
    Fault,
    FaultySubject,
    Place,
    SeenAccount,
    Subject,
    Traffic,
    known,
    perform,
)
from accountsync.testing.whose import OwnershipContract  # noqa: E402

__all__ = [
    "Act",
    "Attributes",
    "ChangeContract",
    "ConnectorContract",
    "DryRunContract",
    "Fault",
    "FaultContract",
    "FaultySubject",
    "ListContract",
    "LookUpContract",
    "OwnershipContract",
    "Place",
    "SeenAccount",
    "Subject",
    "Traffic",
    "perform",
    "known",
]


class ConnectorContract(
    LookUpContract, ChangeContract, OwnershipContract, ListContract, DryRunContract
):
    """All that every connector keeps, whatever its target is. Its tests ask for a fixture
    `subject`, which is an empty target with its connector."""
