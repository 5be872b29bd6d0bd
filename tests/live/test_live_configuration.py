"""A broken configuration is seen where operators look, in words."""

from __future__ import annotations

import pytest

from demo.settings import REPOSITORY
from tests.live.running import Live

pytestmark = pytest.mark.slow


def test_a_broken_configuration_is_an_import_error_that_says_what_is_wrong(live: Live) -> None:
    broken = live.sound_config.replace("smtp_conn_id", "smpt_conn_id")
    live.configure(broken.replace("Asia/Shanghai", "Asia/Shangri-La", 1))
    files = len(list((REPOSITORY / "dags").glob("*.py")))
    live.wait("the import errors", lambda: len(live.stack.api.import_errors()) == files)
    told = live.rest("GET", "importErrors")["import_errors"]
    listed = live.airflow("dags", "list-import-errors", "-o", "plain", COLUMNS="400").stdout
    live.heal()
    for error in told:
        *_, first, second, third = error["stack_trace"].rstrip().splitlines()
        assert first.endswith("accountsync.yaml: 2 problem(s)")
        assert "unknown time zone 'Asia/Shangri-La'; use a name such as Asia/Shanghai" in second
        assert "alerts.smpt_conn_id: " in third
        assert "no such setting here; did you mean 'smtp_conn_id'?" in third
    for text in ("unknown time zone 'Asia/Shangri-La'", "alerts.smpt_conn_id", "sync_hr_persons"):
        assert text in listed
