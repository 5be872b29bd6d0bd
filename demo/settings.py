"""What the demo can be told: ports (from the environment) and where its state lies."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Self

from . import ports

REPOSITORY = Path(__file__).resolve().parent.parent
TARGETS = ("idaas", "welink", "exchange")
PORT_VARIABLE = "ACCOUNTSYNC_DEMO_PORT_"
CONFIG_VARIABLE = "ACCOUNTSYNC_CONFIG"
CONFIG = REPOSITORY / "config" / "accountsync.yaml"
SCIM_CONFIG = REPOSITORY / "config" / "demo-scim.yaml"


class BadPortError(ValueError):
    """An environment variable holds something that is not a port number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Loopback ports. `ACCOUNTSYNC_DEMO_PORT_HR=19081` moves `hr`, and so on."""

    airflow: int = 18080
    hr: int = 18081
    idaas: int = 18082
    welink: int = 18083
    exchange: int = 18084
    mail: int = 18085
    scim: int = 18086
    smtp: int = 18025
    postgres: int = 18432

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """The defaults, moved by environment variables; BadPortError names a bad one."""
        chosen = {}
        for name in cls.names():
            text = environment.get(variable(name))
            if text is not None:
                chosen[name] = _port(variable(name), text)
        return cls(**chosen)

    @classmethod
    def free(cls) -> Self:
        """Ports that nobody uses now."""
        names = cls.names()
        return cls(**dict(zip(names, ports.free(len(names)), strict=True)))

    @classmethod
    def names(cls) -> list[str]:
        return [field.name for field in fields(cls)]


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """The demo's folder. Everything it ever writes is below."""

    root: Path

    @property
    def postgres(self) -> Path:
        return self.root / "postgres"

    @property
    def simulators(self) -> Path:
        return self.root / "simulators"

    @property
    def airflow(self) -> Path:
        return self.root / "airflow"

    @property
    def secrets(self) -> Path:
        return self.root / "secrets"


def variable(port: str) -> str:
    """The environment variable that moves a port."""
    return PORT_VARIABLE + port.upper()


def _port(name: str, text: str) -> int:
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise BadPortError(f"{name}={text!r} is not a port number")
    return int(text)
