"""The connectors under contract, each with a server of its own and what tests must know of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from accountsync import settings as configuration
from accountsync.settings import Settings
from accountsync.settings.targets import AnyTarget
from accountsync.targets import catalog
from accountsync.targets.connector import Connector
from accountsync.wire.api import Api
from accountsync.wire.auth import authenticator
from accountsync.wire.endpoint import Endpoint
from simulators import run
from simulators.client import SimClient
from simulators.departments import IDAAS_DEPARTMENTS
from simulators.run import TargetOptions
from tests.connectors import scim_service

Attributes = dict[str, Any]
NAME, PHONE, PINYIN = "欧阳娜娜", "10098765432", "ouyangnana"
CONFIG = Path(__file__).parents[2] / "config"


def example() -> Settings:
    """The shipped example, with a SCIM target as the demo declares it."""
    document = yaml.safe_load((CONFIG / "accountsync.yaml").read_text("utf-8"))
    scim = yaml.safe_load((CONFIG / "demo-scim.yaml").read_text("utf-8"))["systems"]["scim"]
    document["systems"]["scim"] = scim
    return configuration.parse(document, origin="test")


def _idaas(number: str) -> Attributes:
    return {
        "employeeNumber": number,
        "name": NAME,
        "englishName": PINYIN,
        "userName": f"o{number}",
        "userType": "employee",
        "email": f"{PINYIN}{number}@example.com",
        "mobile": PHONE,
        "workArea": "北京",
        "ou": "/集团/研发",
    }


def _welink(number: str) -> Attributes:
    return {
        "corpUserId": number,
        "userNameCn": NAME,
        "mobileNumber": PHONE,
        "corpDeptCodes": [IDAAS_DEPARTMENTS[0]],
        "personType": "10",
        "userEmail": f"{PINYIN}{number}@example.com",
        "employeeId": number,
    }


def _email(number: str) -> Attributes:
    alias = f"{PINYIN}{number}"
    address = f"{alias}@example.com"
    return {"SAMAccountName": f"o{number}", "Alias": alias, "EmailAddress": address}


def _scim(number: str) -> Attributes:
    return {
        "externalId": number,
        "userName": f"o{number}",
        "displayName": NAME,
        "emails": [{"value": f"{PINYIN}{number}@example.com", "primary": True}],
        "phoneNumbers": [{"value": PHONE}],
    }


@dataclass(frozen=True, kw_only=True)
class Kind:
    """`person`: what the planner would send for an employee number. `change_key`: the same names
    for somebody else, where the target keeps names apart from its key. `change`: what an update may
    change; `rename`: what changes with the name, where there is one beside the key."""

    name: str
    person: Callable[[str], Attributes]
    create_path: str
    find_path: str
    disable_path: str
    change_key: Mapping[str, str] | None
    change: Mapping[str, str]
    rename: Mapping[str, str] | None


KINDS = [
    Kind(
        name="idaas",
        person=_idaas,
        create_path="/user/onboarding$",
        find_path="/user$",
        change_key={"employeeNumber": "someone"},
        disable_path="/disable$",
        change={"mobile": "10000000009"},
        rename={"userName": "neu1", "email": "neu1@example.com"},
    ),
    Kind(
        name="welink",
        person=_welink,
        create_path="/user/create$",
        find_path="/user/detail$",
        change_key=None,
        disable_path="/user/disable$",
        change={"mobileNumber": "10000000009"},
        rename=None,
    ),
    Kind(
        name="email",
        person=_email,
        create_path="/EnableMailbox$",
        find_path="/GetMailbox$",
        change_key={"SAMAccountName": "someone"},
        disable_path="/DisableMailbox$",
        change={"Alias": "neu1"},
        rename={"Alias": "neu1", "EmailAddress": "neu1@example.com"},
    ),
    Kind(
        name="scim",
        person=_scim,
        create_path="/Users$",
        find_path="/Users$",
        change_key={"externalId": "someone"},
        disable_path="/Users/",
        change={"displayName": "欧阳"},
        rename={"userName": "neu1"},
    ),
]


@dataclass(frozen=True, kw_only=True)
class Subject:
    kind: Kind
    server: SimClient
    target: AnyTarget

    def accounts(self) -> int:
        return len(self.server.call("GET", "/_sim/accounts")["accounts"])

    @asynccontextmanager
    async def connector(
        self, *, url: str | None = None, timeout_s: float = 5, concurrency: int = 16
    ) -> AsyncIterator[Connector]:
        point = endpoint(self.kind.name, url or self.server.url)
        rate = self.target.rate.model_copy(update={"concurrency": concurrency})
        auth = authenticator(self.target.auth, point)
        async with Api(point, auth, rate=rate, timeout_s=timeout_s) as api:
            yield catalog.connector(self.target, api)


def endpoint(name: str, url: str) -> Endpoint:
    secret = "exchange-secret" if name == "email" else f"{name}-secret"
    extra = {"enterprise_id": "E1"}
    return Endpoint(conn_id=name, base_url=url, login="accountsync", password=secret, extra=extra)


@contextmanager
def servers() -> Iterator[dict[str, SimClient]]:
    """Exchange has no directory to ask here: it takes any SAM account."""
    with ExitStack() as stack:
        target = TargetOptions()
        directories = stack.enter_context(run.running(idaas=target, welink=target))
        mailboxes = stack.enter_context(run.running(exchange=target))
        yield {
            "idaas": directories.idaas,
            "welink": directories.welink,
            "email": mailboxes.exchange,
            "scim": stack.enter_context(scim_service.running()),
        }
