from __future__ import annotations

import pytest

from tests.integration.tasks.targets_world import TargetsWorld


@pytest.fixture
def made(planned: TargetsWorld, monkeypatch: pytest.MonkeyPatch) -> TargetsWorld:
    """Everybody who should have an account has one, everywhere, as it should be."""
    url = planned.engine.url.render_as_string(hide_password=False)
    monkeypatch.setenv("ACCOUNTSYNC_DATABASE_URL", url)
    planned.drain()
    planned.plan()
    planned.drain()
    return planned
