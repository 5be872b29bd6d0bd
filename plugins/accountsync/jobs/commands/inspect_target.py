"""Looks at a target without changing anything: whether it answers, and which accounts it has."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Engine

from accountsync.domain.accounts.account import Account, RemoteAccount
from accountsync.errors import ConfigurationError, NeedsDataError
from accountsync.store.accounts import accounts
from accountsync.targets.connector import Connector, OpenConnector


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One person's account: as the store has it, and as the target shows it."""

    known: Account | None
    found: RemoteAccount | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListCounts:
    """Counts of a target's accounts. `enabled + disabled + untold` and `known + unknown` are all of
    them; `untold` are those of which the target does not say whether they are enabled. `unknown`
    are in the target only, `gone` are usable accounts of ours that it does not list."""

    enabled: int
    disabled: int
    untold: int
    known: int
    unknown: int
    gone: int

    @property
    def total(self) -> int:
        return self.enabled + self.disabled + self.untold


async def check(open_connector: OpenConnector) -> str:
    """What the target answered, as a verb phrase. Raises the errors of the connector."""
    async with open_connector() as connector:
        return await connector.check()


async def look_for(
    employee_number: str, *, engine: Engine, target: str, open_connector: OpenConnector
) -> Look:
    """Looks for a person's account by the attributes last applied, or else by those last planned.
    Raises NeedsDataError where there are none, ConfigurationError where the target cannot look
    accounts up."""
    with engine.connect() as connection:
        traced = accounts.traced(connection, target=target, employee_number=employee_number)
    if traced is None:
        raise NeedsDataError(
            f"nothing is planned for employee {employee_number} in {target!r}: the person is not"
            " in the store, not entitled to it, or no plan was made since the target was configured"
        )
    async with open_connector() as connector:
        if not connector.can_find:
            raise ConfigurationError(f"{target}: the target offers no look-up")
        return Look(known=traced.account, found=await connector.find(traced.attributes))


async def count_accounts(
    *, engine: Engine, target: str, open_connector: OpenConnector
) -> ListCounts:
    """Counts the accounts of a target. Raises IncompleteReadError where the list is not
    complete."""
    with engine.connect() as connection:
        ours = accounts.present(connection, target=target)
    async with open_connector() as connector:
        if not connector.can_list:
            raise ConfigurationError(f"{target}: the target offers no list of its accounts")
        return await _counted(connector, ours)


async def _counted(connector: Connector, ours: accounts.Present) -> ListCounts:
    states = {True: 0, False: 0, None: 0}
    known: set[int] = set()
    async for account in connector.list():
        states[account.enabled] += 1
        person = ours.by_remote_id.get(account.remote_id or "")
        person = person or ours.by_identifier.get(account.identifier)
        if person is not None:
            known.add(person)
    return ListCounts(
        enabled=states[True],
        disabled=states[False],
        untold=states[None],
        known=len(known),
        unknown=sum(states.values()) - len(known),
        gone=len({*ours.by_identifier.values()} - known),
    )
