"""The operator's commands about targets, as they are typed: they look and change nothing (I15)."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner, Result

from accountsync.__main__ import app
from accountsync.errors import ConfigurationError, NeedsDataError
from tests.integration.tasks.targets_world import TargetsWorld
from tests.integration.world import REPOSITORY

TARGETS = ("idaas", "welink", "email")


@pytest.fixture
def _typed(planned: TargetsWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    url = planned.engine.url.render_as_string(hide_password=False)
    monkeypatch.setenv("ACCOUNTSYNC_DATABASE_URL", url)
    monkeypatch.setenv("ACCOUNTSYNC_CONFIG", str(REPOSITORY / "config" / "accountsync.yaml"))
    for target in TARGETS:
        name = "exchange" if target == "email" else target
        _connect(monkeypatch, name, planned.target(target).url, f"{name}-secret")


def _connect(monkeypatch: pytest.MonkeyPatch, name: str, url: str, password: str) -> None:
    connection = {
        "conn_type": "http",
        "host": url,
        "login": "accountsync",
        "password": password,
        "extra": {"enterprise_id": "E1"},
    }
    monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps(connection))


def _type(*words: str) -> Result:
    return CliRunner().invoke(app, ["target", *words])


def _said(*words: str) -> str:
    done = _type(*words)
    assert done.exception is None, done.output
    return done.output


def _somebody(world: TargetsWorld) -> str:
    return sorted(world.entitled())[0]


@pytest.mark.usefixtures("_typed")
@pytest.mark.parametrize("target", TARGETS)
def test_a_target_that_works_says_so(target: str) -> None:
    assert f"{target}: works. It answered" in _said("check", target)


@pytest.mark.usefixtures("_typed")
def test_a_target_that_does_not_says_why_and_what_next(monkeypatch: pytest.MonkeyPatch) -> None:
    _connect(monkeypatch, "idaas", "http://127.0.0.1:9", "top-secret")
    down = _type("check", "idaas")
    assert down.exit_code == 1
    assert "does not work. TargetDownError: " in down.output
    assert "Next: Check host, port and proxy" in down.output
    assert "top-secret" not in down.output


@pytest.mark.usefixtures("_typed")
def test_wrong_credentials_are_a_matter_of_the_connection(
    planned: TargetsWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    _connect(monkeypatch, "welink", planned.sims.welink.url, "wrong-secret")
    refused = _type("check", "welink")
    assert refused.exit_code == 1
    assert "check login, password and extra of the Connection" in refused.output
    assert "wrong-secret" not in refused.output


@pytest.mark.usefixtures("_typed")
def test_a_name_that_is_not_there_is_answered_with_those_that_are() -> None:
    unknown = _type("check", "idas")
    assert unknown.exit_code == 1
    assert "no target is called 'idas'; known: idaas, welink, email" in unknown.output
    with pytest.raises(ConfigurationError, match="known: idaas"):
        raise _error("list", "idas")


def _error(*words: str) -> BaseException:
    exception = _type(*words).exception
    assert exception is not None
    return exception


@pytest.mark.usefixtures("_typed")
def test_a_person_is_found_in_the_store_and_in_the_target(planned: TargetsWorld) -> None:
    number = _somebody(planned)
    before = _said("find", "idaas", number)
    assert "the store has: no account" in before
    assert "the target has: no account" in before
    planned.process("idaas")
    after = _said("find", "idaas", number)
    assert "the store has: active, id " in after
    assert "an account, enabled, id " in after
    assert "carries the person's key" in after
    with pytest.raises(NeedsDataError, match="nothing is planned for employee 99999999"):
        raise _error("find", "idaas", "99999999")


@pytest.mark.usefixtures("_typed")
def test_accounts_are_counted_and_compared_with_the_store(planned: TargetsWorld) -> None:
    planned.process("idaas")
    there = len(planned.sims.idaas.accounts())
    planned.sims.idaas.seed({"employeeNumber": "X1", "userName": "x1", "email": "x1@example.com"})
    said = _said("list", "idaas")
    assert f"{there + 1} accounts: {there + 1} enabled, 0 disabled" in said
    assert f"{there} are known to the store, 1 are not" in said
    assert "not there any more" not in said
    planned.sims.idaas.reset()
    assert f"{there} of the store's accounts are not there any more" in _said("list", "idaas")


@pytest.mark.usefixtures("_typed")
def test_looking_changes_nothing(planned: TargetsWorld) -> None:
    number = _somebody(planned)
    for target in TARGETS:
        _said("check", target)
        _said("list", target)
    _said("find", "idaas", number)
    assert [len(planned.target(target).accounts()) for target in TARGETS] == [0, 0, 0]
