"""docker-compose.yaml, .env.example, Dockerfile and the DAG files, as the tests read them."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
COMPOSE = REPOSITORY / "docker-compose.yaml"
DOCKERFILE = REPOSITORY / "Dockerfile"
ENV_EXAMPLE = REPOSITORY / ".env.example"
DOCUMENT = REPOSITORY / "docs" / "deployment.md"
CONFIG = REPOSITORY / "config" / "accountsync.yaml"

_VARIABLE = re.compile(r"\$(?:(\$)|\{(\w+)(?:(:[-?])([^}]*))?\}|(.?))")
_SETTING = re.compile(r"^(?:# )?([A-Z][A-Z0-9_]*)=(.*)$", re.MULTILINE)


class MissingVariableError(ValueError):
    """A variable that the Compose file requires is unset or empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """One `${NAME...}`: `operator` is `:-` (default follows), `:?` (message follows) or empty."""

    name: str
    operator: str
    word: str


def compose() -> dict[str, Any]:
    """The file with its anchors and merges, variables as they are written."""
    loaded: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())
    return loaded


def services(variables: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """The services as Compose would start them. Raises MissingVariableError."""
    found: dict[str, dict[str, Any]] = interpolated(compose()["services"], variables)
    return found


def interpolated(value: Any, variables: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: interpolated(one, variables) for key, one in value.items()}
    if isinstance(value, list):
        return [interpolated(one, variables) for one in value]
    if isinstance(value, str):
        return _VARIABLE.sub(lambda match: _filled(match, variables), value)
    return value


def uses(value: Any) -> Iterator[Use]:
    """Every variable that a part of the file refers to."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from uses(one)
    elif isinstance(value, str):
        for _, name, operator, word, _ in _VARIABLE.findall(value):
            if name:
                yield Use(name=name, operator=operator, word=word)


def passed_on() -> set[str]:
    """Variables named without a value under `build.args`: Compose takes them from .env."""
    found: set[str] = set()
    for service in compose()["services"].values():
        found.update(service.get("build", {}).get("args", []))
    return found


def documented() -> dict[str, str]:
    """Every setting of .env.example, those that are commented out as well."""
    return {name: value.strip("'") for name, value in _SETTING.findall(ENV_EXAMPLE.read_text())}


def required() -> set[str]:
    """The settings of .env.example that have to be filled in."""
    lines = ENV_EXAMPLE.read_text().splitlines()
    return {line.partition("=")[0] for line in lines if re.match(r"[A-Z]", line)}


def image_environment(home: Path) -> dict[str, str]:
    """The ENV of the Dockerfile, for an AIRFLOW_HOME."""
    joined = DOCKERFILE.read_text().replace("\\\n", " ")
    pairs = [
        pair.split("=", 1)
        for line in joined.splitlines()
        if line.startswith("ENV ")
        for pair in line.removeprefix("ENV ").split()
    ]
    return {name: value.replace("${AIRFLOW_HOME}", str(home)) for name, value in pairs}


def copies() -> list[tuple[str, str]]:
    """Source and target (below AIRFLOW_HOME) of each COPY of the Dockerfile."""
    found = re.findall(
        r"^COPY (?:--\S+ )*(\S+) \$\{AIRFLOW_HOME\}/(\S+)$", DOCKERFILE.read_text(), re.MULTILINE
    )
    return [(source.rstrip("/"), target.rstrip("/")) for source, target in found]


def start_order(found: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
    """Names in groups: those of a group wait only for those of the groups before it."""
    waiting = {name: set(service.get("depends_on", {})) for name, service in found.items()}
    groups: list[list[str]] = []
    while waiting:
        free = [name for name, others in waiting.items() if not others & waiting.keys()]
        if not free:
            raise ValueError(f"services wait for each other: {sorted(waiting)}")
        groups.append(free)
        for name in free:
            del waiting[name]
    return groups


def awaited(found: Mapping[str, Mapping[str, Any]]) -> set[str]:
    """Names of the services that another one waits for until they are healthy."""
    waits = [wait for service in found.values() for wait in service.get("depends_on", {}).items()]
    return {name for name, how in waits if how["condition"] == "service_healthy"}


def queues(command: list[str]) -> list[str]:
    """The queues that a Celery worker's command names."""
    return command[command.index("--queues") + 1].split(",")


def _filled(match: re.Match[str], variables: Mapping[str, str]) -> str:
    dollar, name, operator, word, stray = match.groups()
    if dollar:
        return "$"
    if name is None:
        raise ValueError(f"a $ before {stray!r} that is neither ${{NAME}} nor $$")
    value = variables.get(name, "")
    if not value and operator == ":?":
        raise MissingVariableError(f"{name}: {word}")
    return value or (word if operator == ":-" else "")
