""".env.example and docs/deployment.md say what docker-compose.yaml and the Dockerfile do."""

import json
import re
from itertools import chain
from pathlib import Path
from typing import Any

import compose_file
import deploy_document
import pytest
import yaml
from cryptography.fernet import Fernet

CONNECTION = "AIRFLOW_CONN_"
STORE = ("accountsync_db", "accountsync_db_owner")


def test_env_example_documents_what_the_files_use_and_nothing_else() -> None:
    used = {use.name for use in compose_file.uses(compose_file.compose())}
    settings = {name for name in compose_file.documented() if not name.startswith(CONNECTION)}
    assert settings == used | compose_file.passed_on()


def test_env_example_has_no_secret() -> None:
    documented = compose_file.documented()
    assert compose_file.required() == {
        "POSTGRES_PASSWORD",
        "AIRFLOW_DB_PASSWORD",
        "ACCOUNTSYNC_DB_PASSWORD",
        "ACCOUNTSYNC_OWNER_PASSWORD",
        "REDIS_PASSWORD",
        "AIRFLOW__CORE__FERNET_KEY",
        "AIRFLOW__API_AUTH__JWT_SECRET",
        "AIRFLOW__API__SECRET_KEY",
        "AIRFLOW_PASSWORDS",
    }
    assert {documented[name] for name in compose_file.required()} == {""}
    connections = [value for name, value in documented.items() if name.startswith(CONNECTION)]
    assert {json.loads(value).get("password") for value in connections} == {""}


def test_required_settings_are_those_without_a_default() -> None:
    uses = list(compose_file.uses(compose_file.compose()))
    assert {use.name for use in uses if use.operator == ":?"} == compose_file.required()
    assert {use.operator for use in uses} == {":?", ":-"}


def test_env_example_shows_the_defaults_that_hold() -> None:
    documented = compose_file.documented()
    for use in compose_file.uses(compose_file.compose()):
        if use.operator == ":-":
            assert documented[use.name] == use.word
    assert (
        f"ARG AIRFLOW_IMAGE={documented['AIRFLOW_IMAGE']}\n" in compose_file.DOCKERFILE.read_text()
    )


def test_env_example_shows_a_line_for_each_connection_of_the_configuration() -> None:
    configuration = yaml.safe_load(compose_file.CONFIG.read_text())
    expected = {CONNECTION + conn_id.upper() for conn_id in _conn_ids(configuration)}
    documented = {name for name in compose_file.documented() if name.startswith(CONNECTION)}
    made = {CONNECTION + name.upper() for name in STORE}
    assert documented == expected - made
    assert made <= compose_file.compose()["services"]["init"]["environment"].keys()


def test_document_makes_a_private_env_with_good_secrets(tmp_path: Path) -> None:
    deploy_document.fill_env(tmp_path)
    env = deploy_document.read_env(tmp_path)
    assert (tmp_path / ".env").stat().st_mode & 0o077 == 0
    assert not list(tmp_path.glob(".env.old"))
    assert set(env) == compose_file.required()
    compose_file.services(env)
    Fernet(env["AIRFLOW__CORE__FERNET_KEY"])
    assert len(env["AIRFLOW__API_AUTH__JWT_SECRET"]) >= 64  # Airflow signs with HS512
    assert re.fullmatch(r"[0-9a-f]{16}", json.loads(env["AIRFLOW_PASSWORDS"])["admin"])
    assert len({*env.values()}) == len(env)


def test_document_never_replaces_a_secret(tmp_path: Path) -> None:
    deploy_document.fill_env(tmp_path)
    before = deploy_document.read_env(tmp_path)
    deploy_document.fill_env(tmp_path)
    assert deploy_document.read_env(tmp_path) == before


def test_document_speaks_of_services_and_queues_that_exist() -> None:
    services = set(compose_file.compose()["services"])
    commands = "".join(deploy_document.blocks())
    pattern = r"compose exec (?:-T )?(\S+)|--wait (\S+)|compose logs (\S+)|--scale ([\w-]+)="
    named = {name for found in re.findall(pattern, commands) for name in found if name}
    assert {"scheduler", "postgres", "init", "worker-account-processing"} <= named <= services
    text = compose_file.DOCUMENT.read_text()
    for name, service in compose_file.compose()["services"].items():
        assert f"`{name}`" in text
        if name.startswith("worker-"):
            for queue in compose_file.queues(service["command"]):
                assert f"`{queue}`" in text


@pytest.mark.parametrize("name", ["docker-compose.yaml", "Dockerfile", ".env.example"])
def test_file_names_no_package_host_of_ours(name: str) -> None:
    hosts = re.findall(r"https?://([\w.-]+)", (compose_file.REPOSITORY / name).read_text())
    assert {*hosts} <= {"localhost", "api-server"}


def _conn_ids(value: Any) -> set[str]:
    if isinstance(value, list):
        return {*chain.from_iterable(map(_conn_ids, value))}
    if not isinstance(value, dict):
        return set()
    own = {one for key, one in value.items() if key.endswith("conn_id")}
    return own.union(*map(_conn_ids, value.values()))
