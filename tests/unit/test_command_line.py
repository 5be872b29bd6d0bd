"""What stands in a command's way is said in a line, not in a traceback."""

import pytest

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
