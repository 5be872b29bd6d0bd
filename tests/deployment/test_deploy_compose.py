"""docker-compose.yaml: valid by the specification's schema, and by our own rules.

compose-spec.json is the schema of the Compose specification (Apache-2.0, compose-spec.LICENSE),
taken unchanged from the PyPI package check-jsonschema 0.39.0.
"""

import json
import re
from itertools import chain
from pathlib import Path
from typing import Any

import compose_file
import jsonschema
import pytest

SCHEMA = json.loads(Path(__file__).with_name("compose-spec.json").read_text())
FILLED = {name: f"{name.lower()}-value" for name in compose_file.required()}
SERVICES = compose_file.services(FILLED)
AIRFLOW = {name: service for name, service in SERVICES.items() if "build" in service}
WORKERS = {name: service for name, service in SERVICES.items() if name.startswith("worker-")}
ONE_SHOT = {"init"}


def test_file_is_valid_by_the_compose_specification() -> None:
    jsonschema.validate(compose_file.compose(), SCHEMA)
    jsonschema.validate({"name": "accountsync", "services": SERVICES}, SCHEMA)


@pytest.mark.parametrize(
    ("service", "change"),
    [
        ("scheduler", {"healthchek": {"test": ["NONE"]}}),
        ("scheduler", {"depends_on": {"init": {"condition": "service_finished"}}}),
        ("redis", {"restart": ["always"]}),
        ("postgres", {"healthcheck": {"start_intervall": "1s"}}),
    ],
)
def test_schema_finds_mistakes(service: str, change: dict[str, Any]) -> None:
    broken = compose_file.compose()
    broken["services"][service] |= change
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(broken, SCHEMA)


def test_services_are_the_expected_ones() -> None:
    assert set(SERVICES) - set(WORKERS) == {
        "postgres",
        "redis",
        "init",
        "api-server",
        "scheduler",
        "dag-processor",
        "triggerer",
    }


def test_services_start_in_an_order_where_no_task_meets_a_closed_door() -> None:
    everything_else = {"scheduler", "dag-processor", "triggerer", *WORKERS}
    groups = [set(group) for group in compose_file.start_order(SERVICES)]
    assert groups == [{"postgres", "redis"}, {"init"}, {"api-server"}, everything_else]
    for name, service in SERVICES.items():
        for other, how in service.get("depends_on", {}).items():
            once = "service_completed_successfully"
            expected = once if other in ONE_SHOT else "service_healthy"
            assert how == {"condition": expected}, f"{name} waits wrongly for {other}"


@pytest.mark.parametrize("name", SERVICES)
def test_service_is_watched_and_restarted_or_runs_once(name: str) -> None:
    service = SERVICES[name]
    if name in ONE_SHOT:
        assert service["restart"] == "no"
        assert "healthcheck" not in service
    else:
        assert service["restart"] == "unless-stopped"
        assert {"test", "interval", "timeout", "retries", "start_period"} <= set(
            service["healthcheck"]
        )


@pytest.mark.parametrize("name", SERVICES)
def test_image_is_built_here_or_pinned(name: str) -> None:
    service = SERVICES[name]
    if "build" not in service:
        assert re.fullmatch(r"[a-z]+:\d+(\.\d+)*-[a-z]+", service["image"])
    assert "latest" not in service["image"]


@pytest.mark.parametrize("name", SERVICES)
def test_service_has_no_more_rights_than_it_needs(name: str) -> None:
    service = SERVICES[name]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service.get("user", "") not in ("root", "0", "0:0")
    assert not service.get("privileged")
    if name in AIRFLOW:
        assert service["cap_drop"] == ["ALL"]


@pytest.mark.parametrize("name", SERVICES)
def test_service_can_be_scaled(name: str) -> None:
    assert not {"container_name", "hostname"} & set(SERVICES[name])


def test_only_the_web_ui_is_published_and_only_to_this_machine() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {"api-server": ["127.0.0.1:8080:8080"]}


def test_each_queue_of_the_dags_and_the_default_one_has_exactly_one_worker_service() -> None:
    served = sorted(chain.from_iterable(map(_queues, WORKERS.values())))
    assert served == sorted({*_queues_of_dags(), "default"})


@pytest.mark.parametrize("name", WORKERS)
def test_worker_does_four_tasks_at_once_under_a_name_of_its_own(name: str) -> None:
    command = WORKERS[name]["command"]
    queue = _queues(WORKERS[name])[0]
    assert name == "worker-" + queue.replace("_", "-")
    assert command[:3] == ["airflow", "celery", "worker"]
    assert command[command.index("--concurrency") + 1] == "4"
    assert command[command.index("--celery-hostname") + 1] == f"{queue}@%h"
    assert f"--destination {queue}@$HOSTNAME" in WORKERS[name]["healthcheck"]["test"][1]
    assert WORKERS[name]["environment"]["DUMB_INIT_SETSID"] == "0"


@pytest.mark.parametrize(
    "setting",
    [
        "AIRFLOW__CORE__EXECUTOR",
        "AIRFLOW__CORE__FERNET_KEY",
        "AIRFLOW__API__SECRET_KEY",
        "AIRFLOW__API_AUTH__JWT_SECRET",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL",
        "AIRFLOW__CORE__DEFAULT_TIMEZONE",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN",
        "AIRFLOW__CELERY__BROKER_URL",
        "AIRFLOW__CELERY__RESULT_BACKEND",
        "AIRFLOW_CONN_ACCOUNTSYNC_DB",
        "PGOPTIONS",
    ],
)
def test_setting_is_the_same_in_all_airflow_services(setting: str) -> None:
    assert len({service["environment"][setting] for service in AIRFLOW.values()}) == 1


def test_database_urls_name_their_driver() -> None:
    environment = AIRFLOW["scheduler"]["environment"]
    for setting in ("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "AIRFLOW__CELERY__RESULT_BACKEND"):
        assert "postgresql+psycopg://" in environment[setting]


def test_health_check_of_the_api_server_reads_the_answer() -> None:
    check = SERVICES["api-server"]["healthcheck"]["test"][-1]
    assert "/api/v2/monitor/health" in check
    assert '["metadatabase"]["status"] == "healthy"' in check


@pytest.mark.parametrize("name", sorted(compose_file.required()))
def test_without_a_secret_nothing_starts_and_the_message_says_what_to_do(name: str) -> None:
    with pytest.raises(compose_file.MissingVariableError, match=rf"{name}.*docs/deployment\.md"):
        compose_file.services(FILLED | {name: ""})


def test_no_secret_is_written_into_the_file() -> None:
    for name, service in compose_file.compose()["services"].items():
        for setting, value in service["environment"].items():
            if re.search(r"PASSWORDS?$|SECRET|KEY$|AUTH$", setting):
                assert re.fullmatch(r"(\$\{\w+:\?[^}]+\})?", value), f"{name}: {setting}"
    passwords = re.findall(r"://\w*:(.+?)@", compose_file.COMPOSE.read_text())
    assert len(passwords) == 5
    assert all(re.fullmatch(r"\$\{\w+:\?[^}]+\}", password) for password in passwords)


def test_passwords_of_people_reach_the_api_server_only() -> None:
    having = [name for name, one in AIRFLOW.items() if one["environment"]["AIRFLOW_PASSWORDS"]]
    assert having == ["api-server"]


@pytest.mark.parametrize("setting", ["POSTGRES_PASSWORD", "ACCOUNTSYNC_OWNER_PASSWORD"])
def test_what_may_change_the_tables_of_the_store_reaches_init_only(setting: str) -> None:
    """A DAG of somebody else's cannot find it in its worker's environment."""
    assert [name for name, one in AIRFLOW.items() if one["environment"][setting]] == ["init"]
    owner = "AIRFLOW_CONN_ACCOUNTSYNC_DB_OWNER"
    assert [name for name, one in AIRFLOW.items() if owner in one["environment"]] == ["init"]


def _queues(worker: dict[str, Any]) -> list[str]:
    return compose_file.queues(worker["command"])


def _queues_of_dags() -> set[str]:
    files = (compose_file.REPOSITORY / "dags").glob("*.py")
    return set(chain.from_iterable(re.findall(r'queue="(\w+)"', one.read_text()) for one in files))
