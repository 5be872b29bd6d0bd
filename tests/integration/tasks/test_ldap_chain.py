"""From HR to a real OpenLDAP: persons, plan, tasks, entries."""

from __future__ import annotations

import asyncio
import csv
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from accountsync.clock import utc_now
from accountsync.domain.accounts.distinguished_name import joined, rdn
from accountsync.jobs.tasks.task_commands import carry_out
from accountsync.settings.parts import Rate
from accountsync.store.tasks.task_commands import TaskFilter
from accountsync.wire import ldap_messages
from accountsync.wire.directory import Directory
from accountsync.wire.endpoint import Endpoint
from accountsync.wire.ldap_messages import Entry
from simulators.run import Sims
from tests.connectors import openldap
from tests.connectors.directory_server import DirectoryServer
from tests.connectors.faulty_line import Fault, FaultyLine, faulty_line
from tests.installation import DATA
from tests.integration.tasks.targets_world import TargetsWorld
from tests.integration.world import stamp

STAFF = f"cn=staff,{openldap.GROUPS}"
TARGETS: dict[str, Any] = {
    "directory": {
        "preset": "openldap",
        "conn_id": "directory",
        "base": openldap.BASE,
        "container": "ou",
        "attributes": {"ou": "person.department.ou_path", "groups": [STAFF]},
        "groups": {"managed": [STAFF]},
        "disabling": {"policy": openldap.POLICY},
        "timeout": "2s",
    }
}


@dataclass(frozen=True, kw_only=True)
class DirectoryWorld(TargetsWorld):
    """`line`: between the processor and the directory."""

    server: DirectoryServer
    line: FaultyLine

    def endpoint(self, conn_id: str) -> Endpoint:
        if conn_id == "directory":
            return self.server.endpoint(port=self.line.port)
        return super().endpoint(conn_id)

    def wire(self, act: Callable[[Directory], Awaitable[Any]], **login: str) -> Any:
        async def run() -> Any:
            rate, point = Rate(concurrency=4), self.server.endpoint(**login)
            async with Directory(point, rate=rate, timeout_s=20) as directory:
                return await act(directory)

        return asyncio.run(run())

    def make_departments(self) -> None:
        with (DATA / "departments.csv").open(encoding="utf-8") as file:
            paths = sorted(row["ou_path"].split("/") for row in csv.DictReader(file))

        async def make(directory: Directory) -> None:
            for path in paths:
                dn = joined(*(rdn("ou", name) for name in reversed(path)), openldap.BASE)
                unit = ldap_messages.add(dn, {"objectClass": [b"organizationalUnit"]})
                await directory.change(unit)

        self.wire(make)

    def entries(self) -> list[Entry]:
        async def read(directory: Directory) -> list[Entry]:
            wanted = ["employeeNumber", "pwdAccountLockedTime"]
            pages = directory.pages(
                openldap.BASE, tests={"employeeNumber": None}, attributes=wanted, page_size=20
            )
            return [row async for rows in pages for row in rows if isinstance(row, Entry)]

        found: list[Entry] = self.wire(read)
        return found

    def join_by_hand(self, group: str) -> None:
        members = [entry.dn.encode() for entry in self.entries()]
        add = ldap_messages.modify(group, [("add", "member", members)])
        login = {"login": openldap.ADMIN, "password": openldap.ADMIN_PASSWORD}
        self.wire(lambda directory: directory.change(add), **login)

    def numbers(self) -> Counter[str | None]:
        return Counter(entry.text("employeeNumber") for entry in self.entries())


@pytest.fixture
def world(engine: Engine, _hr_sims: Sims, tmp_path: Path) -> Iterator[DirectoryWorld]:
    _hr_sims.hr.heal()
    _hr_sims.hr.reset()
    with (
        openldap.running(tmp_path / "slapd") as server,
        faulty_line(server.host, server.encrypted) as line,
    ):
        world = DirectoryWorld(
            engine=engine,
            sims=_hr_sims,
            changes={"settings": {"targets": TARGETS}},
            server=server,
            line=line,
        )
        world.import_mappings()
        world.make_departments()
        world.sync()
        world.plan()
        yield world


def test_everybody_who_works_here_gets_one_entry_and_loses_its_use_with_the_job(
    world: DirectoryWorld,
) -> None:
    world.drain()
    assert world.numbers() == Counter(world.entitled())
    assert set(world.tasks("directory").values()) == {"succeeded"}
    assert all(entry.dn.count("ou=") > 1 for entry in world.entries())
    world.ask("directory", "disable", reason="left")
    world.drain()
    assert world.numbers() == Counter(world.entitled())
    assert {entry.text("pwdAccountLockedTime") for entry in world.entries()} == {"000001010000Z"}
    assert world.unexplained() == []


def test_a_dry_run_shows_every_change_and_the_directory_stays_as_it_is(
    world: DirectoryWorld, caplog: pytest.LogCaptureFixture
) -> None:
    """I15: attributes by name, groups, and nobody's value."""
    caplog.set_level("INFO")
    entitled = len(world.entitled())
    assert world.process("directory", dry_run=True).outcomes == {"would_create": entitled}
    assert world.entries() == []
    assert 'dc=com","attributes":{"employeeNumber":"***"' in caplog.text
    assert f'; then directory LDAP modify {{"entry":"{STAFF}","changes":[{{"add":' in caplog.text
    assert set(world.tasks("directory").values()) == {"ready"}
    persons = world.rows("SELECT full_name, phone FROM accountsync.person")
    values = {value for row in persons for value in row.values() if value}
    assert not [value for value in values if value in caplog.text]


def test_a_dry_run_tells_apart_what_changes_and_what_is_as_wanted(
    world: DirectoryWorld, caplog: pytest.LogCaptureFixture
) -> None:
    world.drain()
    before = sorted((entry.dn, entry.attributes) for entry in world.entries())
    changed = world.ask("directory", "update", persons=3, displayName="Somebody Else")
    caplog.set_level("INFO")
    assert world.process("directory", dry_run=True).outcomes == {"would_update": changed}
    key = '{"delete":{"employeeNumber":"***"}},{"add":{"employeeNumber":"***"}}'
    assert f'"changes":[{key},{{"replace":{{"displayName":"***"}}}}]' in caplog.text
    world.execute("DELETE FROM accountsync.account_task WHERE state = 'ready'")
    as_wanted = world.ask("directory", "update", persons=4)
    assert world.process("directory", dry_run=True).outcomes == {"would_change_nothing": as_wanted}
    assert sorted((entry.dn, entry.attributes) for entry in world.entries()) == before


def test_however_often_the_line_breaks_nobody_gets_two_entries_or_none(
    world: DirectoryWorld,
) -> None:
    """I9: answers are lost after the request arrived, and requests before."""
    faults: tuple[Fault, ...] = ("cut after", "cut before", "cut after", "hold after")
    for n, fault in enumerate(faults):
        world.line.break_at(fault, request=5 + n)
        world.process("directory", max_tasks=6)
        assert world.line.hit.is_set()
    world.drain()
    assert world.numbers() == Counter(world.entitled())
    assert set(world.tasks("directory").values()) == {"succeeded"}
    assert world.unexplained() == []


def test_a_group_that_is_not_there_stops_nobody_else_and_the_breaker_stays_closed(
    world: DirectoryWorld,
) -> None:
    """I9, I13, I17: the entry is there all the same, and the others are made."""
    nowhere = [f"cn=nowhere,{openldap.GROUPS}"]
    broken = {**TARGETS["directory"], "groups": {"managed": [STAFF, *nowhere]}}
    world.execute(
        "UPDATE accountsync.account_task SET desired = desired || jsonb_build_object('groups',"
        " CAST(:groups AS jsonb))",
        groups=f'["{nowhere[0]}"]',
    )
    other = replace(world, changes={"settings": {"targets": {"directory": broken}}})
    assert other.process("directory").breaker == "closed"
    assert world.numbers() == Counter(world.entitled())
    other.drain()
    assert world.known("directory") == {"active": len(world.entitled())}


@pytest.fixture
def locked(world: DirectoryWorld) -> DirectoryWorld:
    """Everybody is to be in a group whose members our login may not change."""
    own = {"groups": [openldap.LOCKED]}
    attributes = {**TARGETS["directory"]["attributes"], **own}
    asked = {**TARGETS["directory"], "attributes": attributes, "groups": {"managed": own["groups"]}}
    locked = replace(world, changes={"settings": {"targets": {"directory": asked}}})
    locked.plan()
    return locked


def test_an_entry_that_was_made_without_its_group_is_known_and_what_it_lacks_is_seen(
    locked: DirectoryWorld,
) -> None:
    """I9: a refused membership is no sign of a target that is down, however many there are."""
    everybody = len(locked.entitled())
    locked.drain()
    assert locked.known("directory") == {"active": everybody}
    assert locked.scalar("SELECT count(*) FROM accountsync.breaker WHERE state <> 'closed'") == 0
    locked.plan()
    locked.drain()
    assert locked.states("directory", "update") == {"failed": everybody}
    said = locked.rows(
        "SELECT cause, error_kind FROM accountsync.account_task WHERE state='failed'"
    )
    assert {row["error_kind"] for row in said} == {"RejectedByTargetError"}
    assert all(f"group {openldap.LOCKED}: let our login" in row["cause"] for row in said)
    assert locked.numbers() == Counter(locked.entitled())


def test_a_leaver_whose_group_was_refused_loses_access(locked: DirectoryWorld) -> None:
    """I9: an account that the store knows nothing of would stay open for ever."""
    locked.drain()
    leaver = next(row for row in locked.sims.hr.persons() if row["employeeStatus"] == "1")
    left = {"employeeStatus": "0", "lastUpdateDate": stamp(utc_now())}
    locked.sims.hr.put_persons(leaver | left)
    locked.sync()
    locked.plan()
    locked.drain()
    entries = {one.text("employeeNumber"): one for one in locked.entries()}
    assert entries[leaver["employeeNumber"]].text("pwdAccountLockedTime") == "000001010000Z"


def test_once_an_administrator_has_put_them_in_what_failed_is_tried_again_and_nothing_is_left(
    locked: DirectoryWorld,
) -> None:
    """I6: a fixpoint."""
    locked.drain()
    locked.plan()
    locked.drain()
    locked.join_by_hand(openldap.LOCKED)
    carry_out(
        engine=locked.engine,
        settings=locked.settings,
        command="retry",
        chosen=TaskFilter(operation="update"),
        actor="test",
        comment="they are in",
    )
    locked.drain()
    assert set(locked.states("directory", "update")) == {"succeeded"}
    locked.execute("UPDATE accountsync.person SET planned_revision = 0")
    assert locked.plan().counts == {}
