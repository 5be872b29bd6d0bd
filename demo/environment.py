"""Everything Airflow, the plugin and our commands are told through environment variables."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from .ports import HOST
from .secret import secret, write_private
from .settings import CONFIG_VARIABLE, REPOSITORY, Ports

ADMIN = "admin"
SCIM_TOKEN = "scim-secret"  # noqa: S105 - fixed and obviously fake, as the simulators' are
_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "USER", "LOGNAME", "TERM")


@dataclass(frozen=True, slots=True, kw_only=True)
class Secrets:
    """Generated once per state folder; the files are private."""

    admin_password: str
    passwords_file: Path
    jwt: str
    session: str


def environment(
    *, home: Path, ports: Ports, databases: Mapping[str, str], secrets: Secrets, config: Path
) -> dict[str, str]:
    """The variables of one Airflow with AccountSync in it, to be put over `inherited()`.

    `databases` holds two URLs: `airflow` (SQLAlchemy's form) and `accountsync` (libpq's form).
    """
    return {
        **connections(ports, databases["accountsync"]),
        **_airflow(home, ports, databases["airflow"]),
        **_login(secrets),
        CONFIG_VARIABLE: str(config),
        "PYTHONPATH": os.pathsep.join((str(REPOSITORY / "plugins"), str(REPOSITORY))),
        "NO_PROXY": f"{HOST},localhost",
        "no_proxy": f"{HOST},localhost",
    }


def inherited(outer: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What our processes may see of the caller's environment: nothing that configures Airflow.

    PYTHONDONTWRITEBYTECODE is left out on purpose: without .pyc files Airflow starts 3x slower.
    """
    return {name: outer[name] for name in _PASSED_ON if name in outer}


def connections(ports: Ports, store: str) -> dict[str, str]:
    """The Airflow Connections of the demo: the store, HR, the targets, mail."""
    hr = {"project": "P1", "enterprise": "E1", "tenant_id": "T1"}
    found = {
        "ACCOUNTSYNC_DB": _postgres(store),
        "HR_API": _http(ports.hr, "hr-secret", hr),
        "IDAAS": _http(ports.idaas, "idaas-secret", {"enterprise_id": "E1"}),
        "WELINK": _http(ports.welink, "welink-secret", {}),
        "EXCHANGE": _http(ports.exchange, "exchange-secret", {}),
        "SCIM": _http(ports.scim, SCIM_TOKEN, {}),
        "SMTP_DEFAULT": _smtp(ports.smtp),
    }
    return {f"AIRFLOW_CONN_{name}": json.dumps(value) for name, value in found.items()}


def owner_connection(store: str) -> dict[str, str]:
    """For the commands that change tables: no process of Airflow is told."""
    return {"AIRFLOW_CONN_ACCOUNTSYNC_DB_OWNER": json.dumps(_postgres(store))}


def generated_secrets(folder: Path) -> Secrets:
    """Read the secrets of a state folder, or make them."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    passwords = folder / "airflow-passwords.json"
    if not passwords.exists():
        write_private(passwords, json.dumps({ADMIN: secret(folder / "airflow-admin", size=8)}))
    return Secrets(
        admin_password=json.loads(passwords.read_text())[ADMIN],
        passwords_file=passwords,
        jwt=secret(folder / "airflow-jwt", size=64),
        session=secret(folder / "airflow-session", size=64),
    )


def _airflow(home: Path, ports: Ports, database: str) -> dict[str, str]:
    url = f"http://{HOST}:{ports.airflow}"
    settings = {
        "CORE__DAGS_FOLDER": str(REPOSITORY / "dags"),
        "CORE__PLUGINS_FOLDER": str(REPOSITORY / "plugins"),
        "CORE__LOAD_EXAMPLES": "False",
        "CORE__EXECUTOR": "LocalExecutor",
        "CORE__PARALLELISM": "4",
        "CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "DATABASE__SQL_ALCHEMY_CONN": database,
        "API__BASE_URL": url,
        "API__HOST": HOST,
        "API__PORT": str(ports.airflow),
        "API__INSTANCE_NAME": "AccountSync demo",
        "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.25",
        "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",  # a killed demo goes on sooner
        "DAG_PROCESSOR__REFRESH_INTERVAL": "10",
        "LOGGING__COLORED_CONSOLE_LOG": "False",
    }
    return {"AIRFLOW_HOME": str(home)} | {f"AIRFLOW__{key}": settings[key] for key in settings}


def _login(secrets: Secrets) -> dict[str, str]:
    return {
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{ADMIN}:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(secrets.passwords_file),
        "AIRFLOW__API__SECRET_KEY": secrets.session,
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.jwt,
    }


def _postgres(dsn: str) -> dict[str, object]:
    parts = urlsplit(dsn)
    return {
        "conn_type": "postgres",
        "host": parts.hostname,
        "port": parts.port or 5432,
        "login": parts.username,
        "password": parts.password,
        "schema": parts.path.removeprefix("/"),
    }


def _http(port: int, password: str, extra: Mapping[str, str]) -> dict[str, object]:
    return {
        "conn_type": "http",
        "schema": "http",
        "host": HOST,
        "port": port,
        "login": "accountsync",
        "password": password,
        "extra": dict(extra),
    }


def _smtp(port: int) -> dict[str, object]:
    plain = {"disable_ssl": True, "disable_tls": True, "from_email": "accountsync@example.com"}
    return {"conn_type": "smtp", "host": HOST, "port": port, "extra": {**plain, "timeout": 10}}
