"""The connectors under contract, each with a target of its own and what tests must know of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
)
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import yaml

from accountsync import settings as configuration
from accountsync.settings import Settings
from accountsync.settings.targets import AnyTarget, CustomTarget, HttpTarget
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
from tests.connectors.ldap_subjects import LDAP
from tests.integration.world import until

Attributes = dict[str, Any]
NAME, PHONE, PINYIN = "欧阳娜娜", "10098765432", "ouyangnana"
CONFIG = Path(__file__).parents[2] / "config"


@cache
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


class Subject(Protocol):
    """A connector under contract, with an empty target of its own.

    To put another one under contract: write such a class and enter what opens it in `SUBJECTS`.
    `person`: what the planner would send for an employee number. `change_key`: the same names for
    somebody else, where the target keeps names apart from its key. `change`: what an update may
    change. `rename`: what changes with the name, where there is one beside the key.
    """

    name: str
    target: AnyTarget
    change_key: Attributes | None
    change: Attributes
    rename: Attributes | None

    def person(self, number: str) -> Attributes: ...

    def reset(self) -> None:
        """Empties the target; whatever misbehaves behaves again."""
        ...

    def accounts(self) -> int:
        """How many the target really has, not asked through the connector."""
        ...

    def connector(
        self, *, reachable: bool = True, dry_run: bool = False
    ) -> AbstractAsyncContextManager[Connector]: ...


Act = Callable[[Connector], Awaitable[Any]]


def do(subject: Subject, act: Act, **options: Any) -> Any:
    """One act with a connector that is opened and closed for it."""

    async def run() -> Any:
        async with subject.connector(**options) as connector:
            return await act(connector)

    return asyncio.run(run())


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A target with HTTP: what its `Subject` says, and where faults are put into its way."""

    name: str
    person: Callable[[str], Attributes]
    create_path: str
    find_path: str
    disable_path: str
    list_path: str
    change_key: Attributes | None
    change: Attributes
    rename: Attributes | None


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
    ),
}


DEAD_PORT = "http://127.0.0.1:9"


class HttpSubject:
    """`server`: it misbehaves on command."""

    def __init__(self, kind: Kind, server: SimClient, target: AnyTarget) -> None:
        self.kind, self.server, self.target = kind, server, target
        self.name, self.person = kind.name, kind.person
        self.change_key, self.change, self.rename = kind.change_key, kind.change, kind.rename

    def reset(self) -> None:
        self.server.heal()
        until(lambda: self.server.state()["in_flight"] == 0)
        self.server.reset()

    def accounts(self) -> int:
        return len(self.server.call("GET", "/_sim/accounts")["accounts"])

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
            yield HttpSubject(kind, getattr(sims, option), example().systems[kind.name])

    return opened


@contextmanager
def _scim_server() -> Iterator[HttpSubject]:
    with scim_service.running() as server:
        yield HttpSubject(KINDS["scim"], server, example().systems["scim"])


class FolderSubject:
    """The example of a custom connector in docs/, declared as its documentation declares it."""

    name, change_key, change, rename = "custom", None, {"name": "欧阳"}, None

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        module = import_module("docs.examples.folder_connector")
        declared = yaml.safe_load(
            str(module.__doc__).partition("\n\n")[2].partition("\n\n`api`")[0]
        )
        document = {
            **declared["systems"]["badges"],
            "connector": f"{module.__name__}:FolderConnector",
        }
        self.target = CustomTarget.model_validate(document)

    def person(self, number: str) -> Attributes:
        return {"number": number, "name": NAME}

    def reset(self) -> None:
        for file in self._folder.iterdir():
            file.unlink()

    def accounts(self) -> int:
        return len(list(self._folder.iterdir()))

    @asynccontextmanager
    async def connector(
        self, *, reachable: bool = True, dry_run: bool = False
    ) -> AsyncIterator[Connector]:
        folder = self._folder if reachable else self._folder / "gone"
        target = self.target.model_copy(update={"options": {"folder": str(folder)}})
        async with connected(target, endpoint("badges", DEAD_PORT), dry_run=dry_run) as connector:
            yield connector


@contextmanager
def _folder() -> Iterator[FolderSubject]:
    with TemporaryDirectory() as folder:
        yield FolderSubject(Path(folder))


Opened = Callable[[], AbstractContextManager[Any]]

HTTP: Mapping[str, Opened] = {
    "idaas": _simulated(KINDS["idaas"], "idaas"),
    "welink": _simulated(KINDS["welink"], "welink"),
    "email": _simulated(KINDS["email"], "exchange"),
    "scim": _scim_server,
}
"""Name → what opens the subject; each is opened once in a session."""

SUBJECTS: Mapping[str, Opened] = {**HTTP, **LDAP, "custom": _folder}
"""Every connector under contract."""
