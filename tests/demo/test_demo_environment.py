"""What Airflow is told: complete, private, and nothing of the caller's own Airflow."""

import json
from pathlib import Path

import pytest

from demo.environment import connections, environment, generated_secrets, inherited
from demo.settings import Ports

STORE = "postgresql://postgres:pw@127.0.0.1:5433/accountsync"


def test_connections_are_those_the_presets_expect() -> None:
    found = {name: json.loads(text) for name, text in connections(Ports(hr=1), STORE).items()}
    assert found["AIRFLOW_CONN_HR_API"] == {
        "conn_type": "http",
        "schema": "http",
        "host": "127.0.0.1",
        "port": 1,
        "login": "accountsync",
        "password": "hr-secret",
        "extra": {"project": "P1", "enterprise": "E1", "tenant_id": "T1"},
    }
    store = found["AIRFLOW_CONN_ACCOUNTSYNC_DB"]
    assert (store["host"], store["port"], store["schema"]) == ("127.0.0.1", 5433, "accountsync")
    assert (store["login"], store["password"]) == ("postgres", "pw")


def test_secrets_are_private_and_stay_the_same(tmp_path: Path) -> None:
    first = generated_secrets(tmp_path / "secrets")
    assert generated_secrets(tmp_path / "secrets") == first
    assert len({first.admin_password, first.jwt, first.session}) == 3
    assert {file.stat().st_mode & 0o777 for file in (tmp_path / "secrets").iterdir()} == {0o600}
    assert json.loads(first.passwords_file.read_text()) == {"admin": first.admin_password}


def test_airflow_listens_on_loopback_and_needs_a_login(tmp_path: Path) -> None:
    found = environment(
        home=tmp_path,
        ports=Ports(airflow=1234),
        databases={"airflow": "postgresql+psycopg2://x/airflow", "accountsync": STORE},
        secrets=generated_secrets(tmp_path),
        config=tmp_path / "config.yaml",
    )
    assert found["AIRFLOW__API__HOST"] == "127.0.0.1"
    assert found["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == "http://127.0.0.1:1234/execution/"
    assert "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS" not in found
    assert found["ACCOUNTSYNC_CONFIG"] == str(tmp_path / "config.yaml")


@pytest.mark.parametrize(
    "name",
    [
        "AIRFLOW_HOME",
        "AIRFLOW__CORE__EXECUTOR",
        "ACCOUNTSYNC_DATABASE_URL",
        "HTTP_PROXY",
        "PYTHONDONTWRITEBYTECODE",
    ],
)
def test_the_callers_own_settings_do_not_leak_in(name: str) -> None:
    assert inherited({name: "x", "PATH": "/bin"}) == {"PATH": "/bin"}
