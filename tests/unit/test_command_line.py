"""What stands in a command's way is said in a line, not in a traceback."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import accountsync
from accountsync.__main__ import app, main


def test_a_store_that_is_down_is_a_message(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Port 1 of the loopback refuses."""
    monkeypatch.setenv("ACCOUNTSYNC_DATABASE_URL", "postgresql://x@127.0.0.1:1/x")
    with pytest.raises(SystemExit) as ended:
        main(lambda: app(["plan", "list"], standalone_mode=False))
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert said.startswith("the store cannot be reached; see Connection `database.conn_id`: ")


def test_a_command_sees_the_connections_of_the_web_ui() -> None:
    """In a process of its own: Airflow decides once where a process looks for them."""
    code = (
        "from accountsync.connections import be_a_command; be_a_command();"
        "from airflow.sdk.execution_time.supervisor import ensure_secrets_backend_loaded as look;"
        "print([type(backend).__name__ for backend in look()])"
    )
    path = {"PYTHONPATH": str(Path(accountsync.__file__).parents[1])}
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ | path
    )
    assert "MetastoreBackend" in said.stdout
