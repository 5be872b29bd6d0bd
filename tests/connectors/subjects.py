"""Our connectors under contract, each with a target of its own and what tests must know of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import (
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
)
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from accountsync.settings import Settings, parse
from accountsync.settings.ldap import LdapTarget
from accountsync.settings.parts import TokenAuth
from accountsync.settings.targets import HttpTarget
from accountsync.targets import catalog
from accountsync.targets.connector import Connector
from accountsync.testing import Attributes, Fault, Place, SeenAccount, Traffic
from accountsync.testing.subject import NUMBER
from accountsync.wire.api import Api
from accountsync.wire.auth import authenticator
from accountsync.wire.endpoint import Endpoint
from simulators import run
from simulators.client import SimClient
from simulators.departments import IDAAS_DEPARTMENTS
from simulators.run import TargetOptions
from tests.connectors import scim_service
from tests.connectors.ldap_subjects import LDAP
from tests.integration.world import until

NAME, PHONE, PINYIN = "欧阳娜娜", "10098765432", "ouyangnana"
CONFIG = Path(__file__).parents[2] / "config"


@cache
def example() -> Settings:
    """The shipped example, with a SCIM target as the demo declares it."""
    document = yaml.safe_load((CONFIG / "accountsync.yaml").read_text("utf-8"))
    scim = yaml.safe_load((CONFIG / "demo-scim.yaml").read_text("utf-8"))["targets"]["scim"]
    document["targets"]["scim"] = scim
    return parse(document, origin="test")


def http_target(name: str) -> HttpTarget:
    target = example().targets[name]
    assert not isinstance(target, LdapTarget)
    return target


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
    """A target with HTTP: what its `Subject` says, and where faults are put into its way.
    `reads_first`: it looks at the account, under the path of `disable`, before it disables it."""

    name: str
    person: Callable[[str], Attributes]
    create_path: str
    find_path: str
    disable_path: str
    list_path: str
    change_key: Attributes | None
    change: Attributes
    rename: Attributes | None
    reads_first: bool = False


KINDS = {
    "idaas": Kind(
        name="idaas",
        list_path="/users$",
        person=_idaas,
        create_path="/user/onboarding$",
        find_path="/user$",
        change_key={"employeeNumber": "someone"},
        disable_path="/disable$",
        change={"mobile": "10000000009"},
        rename={"userName": "neu1", "email": "neu1@example.com"},
    ),
    "welink": Kind(
        name="welink",
        list_path="/users$",
        person=_welink,
        create_path="/user/create$",
        find_path="/user/detail$",
        change_key=None,
        disable_path="/user/disable$",
        change={"mobileNumber": "10000000009"},
        rename=None,
    ),
    "email": Kind(
        name="email",
        list_path="/mailboxes$",
        person=_email,
        create_path="/EnableMailbox$",
        find_path="/GetMailbox$",
        change_key={"SAMAccountName": "someone"},
        disable_path="/DisableMailbox$",
        change={"Alias": "neu1"},
        rename={"Alias": "neu1", "EmailAddress": "neu1@example.com"},
    ),
    "scim": Kind(
        name="scim",
        list_path="/Users$",
        person=_scim,
        create_path="/Users$",
        find_path="/Users$",
        change_key={"externalId": "someone"},
        disable_path="/Users/",
        change={"displayName": "欧阳"},
        rename={"userName": "neu1"},
        reads_first=True,
    ),
}


DEAD_PORT = "http://127.0.0.1:9"


_ANYWHERE = "/(?!_sim).*(?<!token)(?<!tickets)$"


class HttpSubject:
    """`server`: it misbehaves on command."""

    secrets = (NAME, PHONE, PINYIN, f"o{NUMBER}", "-secret", "example.com")
    other_loggers = ("aiohttp.server", "scim2_server")

    def __init__(self, kind: Kind, server: SimClient, target: HttpTarget) -> None:
        self.kind, self.server, self.target = kind, server, target
        self.name, self.person = kind.name, kind.person
        self.change_key, self.change, self.rename = kind.change_key, kind.change, kind.rename
        self.renews = isinstance(target.auth, TokenAuth)

    def reset(self) -> None:
        self.heal()
        until(lambda: self.server.state()["in_flight"] == 0)
        self.server.reset()

    def make(self, attributes: Attributes) -> None:
        if self.name == "scim":
            scim_service.make(self.server.url, "/Users", {"active": True, **attributes})
        else:
            self.server.call("POST", "/_sim/accounts", {"enabled": True, **attributes})

    def edit(self, key: str, changes: Attributes) -> None:
        if self.name == "scim":
            scim_service.edit(self.server.url, self.target.key, key, changes)
        else:
            body = {"where": {self.target.key: key}, "changes": changes}
            self.server.call("PATCH", "/_sim/accounts", body)

    def accounts(self) -> list[SeenAccount]:
        there = self.server.call("GET", "/_sim/accounts")["accounts"]
        mapped = self.target.attributes
        return [
            SeenAccount(
                enabled=one["active" if self.name == "scim" else "enabled"],
                attributes={name: one[name] for name in mapped if name in one},
            )
            for one in there
        ]

    def misbehave(self, fault: Fault, at: Place, *, times: int | None = None) -> None:
        path = {
            "create": self.kind.create_path,
            "find": self.kind.find_path,
            "disable": self.kind.disable_path,
            "list": self.kind.list_path,
            "anywhere": _ANYWHERE,
        }[at]
        skip = {"skip": 1} if at == "disable" and self.kind.reads_first else {}
        self.server.faults({**skip, **fault, "path": path, **({"times": times} if times else {})})

    def heal(self) -> None:
        self.server.heal()

    def felt(self) -> int:
        return sum(rule["fired"] for rule in self.server.faults())

    def traffic(self) -> Traffic:
        state = self.server.state()
        routes = state["requests"].items()
        tokens = sum(n for route, n in routes if route.endswith(("token", "tickets")))
        return Traffic(in_flight_max=state["in_flight_max"], tokens=tokens)

    @asynccontextmanager
    async def connector(
        self,
        *,
        reachable: bool = True,
        dry_run: bool = False,
        timeout_s: float = 5,
        concurrency: int = 16,
    ) -> AsyncIterator[Connector]:
        url = self.server.url if reachable else DEAD_PORT
        async with connected(
            self.target,
            endpoint(self.name, url),
            dry_run=dry_run,
            timeout_s=timeout_s,
            concurrency=concurrency,
        ) as connector:
            yield connector


@asynccontextmanager
async def connected(
    target: HttpTarget,
    point: Endpoint,
    *,
    dry_run: bool = False,
    timeout_s: float = 5,
    concurrency: int = 16,
) -> AsyncIterator[Connector]:
    rate = target.rate.model_copy(update={"concurrency": concurrency})
    auth = authenticator(target.auth, point)
    async with Api(point, auth, rate=rate, timeout_s=timeout_s, dry_run=dry_run) as api:
        yield catalog.connector(target, api)


def endpoint(name: str, url: str) -> Endpoint:
    secret = "exchange-secret" if name == "email" else f"{name}-secret"
    extra = {"enterprise_id": "E1"}
    return Endpoint(conn_id=name, base_url=url, login="accountsync", password=secret, extra=extra)


def _simulated(kind: Kind, option: str) -> Opened:
    """Exchange has no directory to ask here: it takes any SAM account."""

    @contextmanager
    def opened() -> Iterator[HttpSubject]:
        options: dict[str, Any] = {option: TargetOptions()}
        with run.running(**options) as sims:
            yield HttpSubject(kind, getattr(sims, option), http_target(kind.name))

    return opened


@contextmanager
def _scim_server() -> Iterator[HttpSubject]:
    with scim_service.running() as server:
        yield HttpSubject(KINDS["scim"], server, http_target("scim"))


Opened = Callable[[], AbstractContextManager[Any]]

HTTP: Mapping[str, Opened] = {
    "idaas": _simulated(KINDS["idaas"], "idaas"),
    "welink": _simulated(KINDS["welink"], "welink"),
    "email": _simulated(KINDS["email"], "exchange"),
    "scim": _scim_server,
}
"""Name → what opens the subject; each is opened once in a session."""

SUBJECTS: Mapping[str, Opened] = {**HTTP, **LDAP}
"""Every connector of ours under contract; one of an author's own is in docs/examples."""
