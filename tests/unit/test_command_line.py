"""What stands in a command's way is said in a line, not in a traceback."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from psycopg.errors import UndefinedColumn
from sqlalchemy.exc import ProgrammingError
from typer import BadParameter

import accountsync
from accountsync.__main__ import app, main
from accountsync.cli import session


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
    env = os.environ | {"PYTHONPATH": str(Path(accountsync.__file__).parents[1])}
    run = [sys.executable, "-c", code]
    said = subprocess.run(run, capture_output=True, text=True, check=True, env=env)
    assert "MetastoreBackend" in said.stdout


def test_it_says_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    main(lambda: app(["--version"], standalone_mode=False))
    assert capsys.readouterr().out == f"accountsync {accountsync.__version__}\n"


def test_the_changelog_has_the_version_on_top() -> None:
    changelog = (Path(accountsync.__file__).parents[2] / "CHANGELOG.md").read_text("utf-8")
    release = next(line for line in changelog.splitlines() if line.startswith("## "))
    assert release.startswith(f"## {accountsync.__version__} (")


def test_an_old_store_is_a_message_that_says_what_to_run(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def command() -> None:
        raise ProgrammingError("SELECT file FROM sync_run", {}, UndefinedColumn("no column"))

    with pytest.raises(SystemExit):
        main(command)
    said = capsys.readouterr().err
    assert said == "the store has no tables yet, or old ones: bin/accountsync db upgrade\n"


def test_a_misspelt_filter_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """Not "0 tasks": that would mean that nothing is stuck."""
    with pytest.raises(SystemExit):
        main(lambda: app(["task", "list", "--state", "need_human"], standalone_mode=False))
    assert "--state need_human: known are " in capsys.readouterr().err


def test_a_blank_comment_is_refused() -> None:
    """I16: before the store is asked for anything."""
    with pytest.raises(BadParameter, match="say why"):
        app(["plan", "reject", "1", "--comment", " "], standalone_mode=False)


def test_a_login_without_a_name_has_to_say_who_acts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """I16: as in a container whose user has no entry in passwd. Nothing is done before that."""
    for variable in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 2_000_000_001)
    with pytest.raises(SystemExit):
        main(lambda: app(["plan", "reject", "1", "--comment", "x"], standalone_mode=False))
    assert capsys.readouterr().err == (
        "ConfigurationError: your login has no name on this machine; say who acts: --actor NAME\n"
    )


def test_who_acts_is_who_the_command_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """I16: else whoever is logged in."""
    monkeypatch.setenv("LOGNAME", "ann")
    assert (session.actor("ben"), session.actor("")) == ("ben", "ann")
