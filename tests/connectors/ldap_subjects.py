"""Both LDAP dialects under contract: a real server each, and what tests must know of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from accountsync.domain.accounts.account import RemoteAccount
from accountsync.domain.accounts.distinguished_name import joined, rdn
from accountsync.settings import parse
from accountsync.settings.ldap import LdapTarget
from accountsync.settings.parts import Rate
from accountsync.targets import catalog
from accountsync.targets.connector import Connector
from accountsync.targets.ldap_container import container_dn
from accountsync.testing import Attributes, SeenAccount
from accountsync.testing.subject import NUMBER
from accountsync.wire import ldap_messages
from accountsync.wire.directory import Directory
from accountsync.wire.endpoint import Endpoint
from accountsync.wire.ldap_messages import Entry
from tests.connectors import openldap, samba
from tests.connectors.directory_server import DirectoryServer

NAME, PHONE, PINYIN = "欧阳娜娜", "10098765432", "ouyangnana"
CONFIG = Path(__file__).parents[2] / "config" / "accountsync.yaml"
RESEARCH, SALES = "集团/研发", "OU=销售,OU=集团"


def target(preset: str, **changes: Any) -> LdapTarget:
    """A preset as an operator would use it, in the shipped example."""
    return _target(preset, json.dumps(changes))


@lru_cache
def _target(preset: str, changed: str) -> LdapTarget:
    changes = json.loads(changed)
    document = yaml.safe_load(CONFIG.read_text("utf-8"))
    document["names"]["upn"] = "{{ person.employee_number }}@example.test"
    own = {"preset": preset, "conn_id": "directory", **changes}
    document["targets"] = {"directory": own}
    found = parse(document, origin="test").targets["directory"]
    assert isinstance(found, LdapTarget)
    return found


def _openldap(number: str) -> Attributes:
    return {
        "employeeNumber": number,
        "uid": f"o{number}",
        "cn": NAME,
        "sn": NAME,
        "displayName": NAME,
        "mail": f"{PINYIN}{number}@example.com",
        "mobile": PHONE,
        "departmentNumber": "D1",
        "employeeType": "10",
        "ou": RESEARCH,
        "groups": [],
    }


def _samba(number: str) -> Attributes:
    return {
        "employeeID": number,
        "sAMAccountName": f"o{number}",
        "userPrincipalName": f"{number}@example.test",
        "cn": f"{NAME}{number}",
        "sn": NAME,
        "displayName": NAME,
        "mail": f"{PINYIN}{number}@example.com",
        "mobile": PHONE,
        "department": "D1",
        "ou": RESEARCH,
        "groups": [],
    }


_DEAD_PORT = 9
LOGIN_PASSWORD = "Person-secret-1"


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """`rename`: what changes with the name, entry name and all. `others`: a container beside the
    base. `own`: what an operator declares besides."""

    name: str
    start: Callable[[Path], AbstractContextManager[DirectoryServer]]
    person: Callable[[str], Attributes]
    base: str
    groups: str
    rename: Attributes
    others: str
    own: Attributes = field(default_factory=dict)


DIALECTS = [
    Dialect(
        name="openldap",
        start=openldap.running,
        person=_openldap,
        base=openldap.BASE,
        groups=openldap.GROUPS,
        rename={"uid": "neu1", "mail": "neu1@example.com"},
        others=openldap.OTHERS,
        own={"disabling": {"policy": openldap.POLICY}},
    ),
    Dialect(
        name="active_directory",
        start=samba.running,
        person=_samba,
        base=samba.BASE,
        groups=samba.GROUPS,
        rename={"sAMAccountName": "neu1", "cn": "新, 名", "userPrincipalName": "n@example.test"},
        others=samba.OTHERS,
    ),
]


class LdapSubject:
    """As the contract wants it (`testing.Subject`), and what only directories have."""

    secrets = (NAME, PHONE, PINYIN, f"o{NUMBER}", "-secret")
    change: Attributes = {"displayName": "欧阳"}

    def __init__(self, dialect: Dialect, server: DirectoryServer) -> None:
        self.dialect, self.server = dialect, server
        self.name, self.person, self.rename = dialect.name, dialect.person, dialect.rename
        self.target = self.declared()
        self.change_key: Attributes | None = {self.target.key: "someone"}

    def group(self, name: str) -> str:
        return f"cn={name},{self.dialect.groups}"

    def declared(self, **changes: Any) -> LdapTarget:
        attributes = {"ou": "person.department.ou_path", "groups": []}
        managed = [self.group("staff"), self.group("vpn")]
        own = {"attributes": attributes, "container": "ou", "groups": {"managed": managed}}
        own |= self.dialect.own
        return target(self.name, **{"base": self.dialect.base, "page_size": 5, **own, **changes})

    @asynccontextmanager
    async def connector(
        self,
        *,
        reachable: bool = True,
        dry_run: bool = False,
        endpoint: Endpoint | None = None,
        timeout: str = "20s",
        **changes: Any,
    ) -> AsyncIterator[Connector]:
        point = endpoint or self.server.endpoint(port=None if reachable else _DEAD_PORT)
        declared = self.declared(timeout=timeout, **changes)
        async with catalog.opened(declared, point, dry_run=dry_run) as connector:
            yield connector

    def call(self, act: Callable[[Connector], Awaitable[Any]], **options: Any) -> Any:
        async def run() -> Any:
            async with self.connector(**options) as connector:
                return await act(connector)

        return asyncio.run(run())

    def listed(self, **options: Any) -> list[RemoteAccount]:
        async def run(connector: Connector) -> list[RemoteAccount]:
            return [account async for account in connector.list()]

        accounts: list[RemoteAccount] = self.call(run, **options)
        return accounts

    def wire(self, act: Callable[[Directory], Awaitable[Any]], *, as_admin: bool = False) -> Any:
        """Past the connector: what an administrator would do or see."""
        is_other = as_admin and self.name == "openldap"
        own = {"login": openldap.ADMIN, "password": openldap.ADMIN_PASSWORD} if is_other else {}

        async def run() -> Any:
            rate = Rate(concurrency=4)
            async with Directory(self.server.endpoint(**own), rate=rate, timeout_s=30) as directory:
                return await act(directory)

        return asyncio.run(run())

    def entries(self) -> list[Entry]:
        """The accounts that are really there."""
        found: list[Entry] = self.wire(self.entries_of)
        return found

    async def entries_of(
        self, directory: Directory, base: str | None = None, *, keyless: bool = False
    ) -> list[Entry]:
        account = {"objectClass": self.target.object_classes[-1].encode()}
        pages = directory.pages(
            base or self.dialect.base,
            tests=account if keyless else {self.key: None},
            attributes=["*", "pwdAccountLockedTime"],
            page_size=20,
        )
        return [row async for rows in pages for row in rows if isinstance(row, Entry)]

    def members(self, group: str) -> set[str]:
        async def read(directory: Directory) -> set[str]:
            (entry,) = await directory.search(
                self.group(group), scope="entry", tests={"objectClass": None}, attributes=["member"]
            )
            return {dn for dn in entry.texts("member") if dn != openldap.LOGIN}

        found: set[str] = self.wire(read)
        return found

    def modify(self, dn: str, name: str, *values: str) -> None:
        step: ldap_messages.Step = ("replace", name, [value.encode() for value in values])
        self.wire(lambda d: d.change(ldap_messages.modify(dn, [step])))

    def move(self, dn: str, parent: str) -> str:
        """By hand, to another container. Returns the name then."""
        own = dn.partition(",")[0]
        request = ldap_messages.move(dn, rdn=own, parent=parent)
        self.wire(lambda d: d.change(request), as_admin=True)
        return f"{own},{parent}"

    def give_password(self, dn: str) -> None:
        """As a self-service or a help desk would."""
        is_ad = self.name == "active_directory"
        raw = f'"{LOGIN_PASSWORD}"'.encode("utf-16-le") if is_ad else LOGIN_PASSWORD.encode()
        step: ldap_messages.Step = ("replace", "unicodePwd" if is_ad else "userPassword", [raw])
        self.wire(lambda d: d.change(ldap_messages.modify(dn, [step])), as_admin=True)

    def logs_in(self, dn: str) -> bool:
        """Whether the person can: the only proof that an account can be used, or cannot."""
        result = self.wire(lambda d: d.bind_answer(dn, LOGIN_PASSWORD))
        assert result.code in (0, 49), result.code
        return bool(result.code == 0)

    def accounts(self) -> list[SeenAccount]:
        async def read(directory: Directory) -> list[SeenAccount]:
            dialect = catalog.dialect(self.target, directory)
            return [
                SeenAccount(enabled=bool(dialect.is_enabled(entry)), attributes=self._shown(entry))
                for entry in await self.entries_of(directory)
            ]

        accounts: list[SeenAccount] = self.wire(read)
        return accounts

    def _shown(self, entry: Entry) -> Attributes:
        """A value, or all of them where there are several, or none."""
        shown = {name: entry.texts(name) for name in self.target.written}
        return {name: texts[0] if len(texts) == 1 else texts for name, texts in shown.items()}

    def make(self, attributes: Attributes) -> None:
        """Its login has a password only where a directory asks for one."""

        async def add(directory: Directory) -> None:
            target = self.target
            dn = joined(rdn(target.rdn, attributes[target.rdn]), container_dn(target, attributes))
            values = {
                name: ldap_messages.as_values(attributes[name])
                for name in target.written
                if attributes[name] != ""
            }
            classes = {"objectClass": [one.encode() for one in target.object_classes]}
            birth = catalog.dialect(target, directory).birth(enabled=True)
            await directory.change(ldap_messages.add(dn, {**values, **classes, **birth}))

        self.wire(add)

    def edit(self, key: str, changes: Attributes) -> None:
        """As a console of the directory does it: another entry name is a move."""
        (dn,) = [entry.dn for entry in self.entries() if entry.texts(self.key) == [key]]
        parent = container_dn(self.target, self.person(key))
        for name, value in changes.items():
            if name == self.target.rdn:
                new = rdn(name, value)
                self.wire(partial(_moved, ldap_messages.move(dn, rdn=new, parent=parent)))
                dn = joined(new, parent)
            else:
                self.modify(dn, name, str(value))

    def reset(self) -> None:
        """Samba empties the groups by itself."""

        async def run(directory: Directory) -> None:
            for base in (self.dialect.base, self.dialect.others):
                for entry in await self.entries_of(directory, base, keyless=True):
                    await directory.change(ldap_messages.delete(entry.dn))
            if self.name == "openldap":
                step: ldap_messages.Step = ("replace", "member", [openldap.LOGIN.encode()])
                for group in ("staff", "vpn", "others"):
                    await directory.change(ldap_messages.modify(self.group(group), [step]))

        self.wire(run)

    @property
    def key(self) -> str:
        return self.target.key


async def _moved(move: ldap_messages.Request, directory: Directory) -> None:
    await directory.change(move)


def _started(dialect: Dialect) -> Callable[[], AbstractContextManager[LdapSubject]]:
    @contextmanager
    def opened() -> Iterator[LdapSubject]:
        with TemporaryDirectory() as folder, dialect.start(Path(folder)) as server:
            yield LdapSubject(dialect, server)

    return opened


LDAP: Mapping[str, Callable[[], AbstractContextManager[LdapSubject]]] = {
    dialect.name: _started(dialect) for dialect in DIALECTS
}
