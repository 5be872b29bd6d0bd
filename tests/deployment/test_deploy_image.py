"""The Dockerfile: the official image, our lock, our code, an ordinary user.

These tests read it; building it takes a Docker engine.
"""

import re

import compose_file
import pytest

TEXT = compose_file.DOCKERFILE.read_text()
LOCK = (compose_file.REPOSITORY / "requirements.txt").read_text()


def test_base_is_the_official_image_of_the_locked_airflow() -> None:
    tag = re.search(r"^ARG AIRFLOW_IMAGE=apache/airflow:([\d.]+)-python3\.\d+$", TEXT, re.MULTILINE)
    locked = re.search(r"^apache-airflow==([\d.]+) ", LOCK, re.MULTILINE)
    assert tag
    assert locked
    assert tag[1] == locked[1]
    assert re.findall(r"^FROM (.+)$", TEXT, re.MULTILINE) == ["${AIRFLOW_IMAGE}"]


def test_packages_come_from_the_lock_only_as_wheels_and_airflow_stays() -> None:
    (install,) = re.findall(r"pip install((?:.*\\\n)*.*)", TEXT)
    assert "--require-hashes" in install
    assert "--only-binary=:all:" in install
    assert re.findall(r"--requirement (\S+)", install) == ['"${AIRFLOW_HOME}/requirements.txt"']
    (constraint,) = re.findall(r"--constraint (\S+)", install)
    assert f"printf 'apache-airflow==%s\\n' \"${{AIRFLOW_VERSION}}\" > {constraint} " in TEXT


def test_nothing_runs_as_root() -> None:
    assert set(re.findall(r"^USER (.+)$", TEXT, re.MULTILINE)) == {"airflow"}
    assert TEXT.index("USER airflow") < TEXT.index("RUN ")


@pytest.mark.parametrize("source", ["requirements.txt", "dags", "plugins", "config"])
def test_code_is_copied_to_where_airflow_looks_and_belongs_to_its_user(source: str) -> None:
    assert (source, source) in compose_file.copies()
    assert (compose_file.REPOSITORY / source).exists()
    assert re.search(rf"^COPY --chown=airflow:0 {re.escape(source)}/? ", TEXT, re.MULTILINE)


def test_build_context_is_what_is_copied_and_nothing_else() -> None:
    lines = (compose_file.REPOSITORY / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if not line.startswith("#")]
    allowed = {line.removeprefix("!") for line in rules if line.startswith("!")}
    assert rules[0] == "*"
    assert allowed == {source for source, _ in compose_file.copies()}


def test_commands_find_the_library_and_the_configuration() -> None:
    home = compose_file.REPOSITORY  # the image's folders have the repository's names
    environment = compose_file.image_environment(home)
    assert (home / "plugins/accountsync/__main__.py").is_relative_to(environment["PYTHONPATH"])
    assert environment["ACCOUNTSYNC_CONFIG"] == str(compose_file.CONFIG)
