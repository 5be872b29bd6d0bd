"""What the tests have to know of a connector under contract and of its target."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from accountsync.domain.accounts.account import Account, AccountState, RemoteAccount
from accountsync.settings.target import Target
from accountsync.targets.connector import Connector

Attributes = dict[str, Any]
"""The values of an account that a test makes up, and changes."""
Act = Callable[[Connector], Awaitable[Any]]
Fault = Mapping[str, Any]
"""How a target misbehaves: `kind`, and what belongs to it; `simulators/faults.py` lists them."""
Place = Literal["create", "find", "disable", "list", "anywhere"]
"""The requests that a fault meets."""

NUMBER = "20001"
"""The employee number of the person whom most tests are about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenAccount:
    """An account as the target itself has it, not as the connector shows it.

    `attributes`: under the names that the configuration maps: at least the key, the identifier,
    and those of `Subject.change` and `Subject.rename`."""

    enabled: bool
    attributes: Mapping[str, Any] = field(repr=False)


class Subject(Protocol):
    """A connector under contract, with an empty target of its own.

    `target`: its settings. `change`: attributes with other values, as an update may bring them.
    `rename`: those that change with the name; None where the identifier is the key. `change_key`:
    another key under which the same names are somebody else's; None where the target has no names
    beside the key. `secrets`: values of `person` and of the Connection that no message may hold.
    """

    @property
    def target(self) -> Target: ...
    @property
    def change(self) -> Attributes: ...
    @property
    def rename(self) -> Attributes | None: ...
    @property
    def change_key(self) -> Attributes | None: ...
    @property
    def secrets(self) -> Sequence[str]: ...

    def person(self, number: str) -> Attributes:
        """What the planner would send for this employee number."""
        ...

    def connector(
        self, *, reachable: bool = True, dry_run: bool = False
    ) -> AbstractAsyncContextManager[Connector]:
        """Opened as the processor opens it. Not `reachable`: the target cannot be connected to."""
        ...

    def make(self, attributes: Attributes) -> None:
        """Makes an account that can be used, as an administrator would: not by the connector."""
        ...

    def edit(self, key: str, changes: Attributes) -> None:
        """Changes the account with this key as an administrator would, a new key among the rest.
        `changes`: under the names that the configuration maps. The target's own id stays."""
        ...

    def accounts(self) -> Sequence[SeenAccount]:
        """What the target really has, read without the connector."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What a target was asked since it was emptied. `tokens`: requests for a token."""

    in_flight_max: int
    tokens: int


class FaultySubject(Subject, Protocol):
    """A connector over HTTP whose target misbehaves on command.

    `renews`: its credentials are a token that can be fetched anew. `other_loggers`: of servers that
    run in the tests' own process, and may say what they like."""

    @property
    def renews(self) -> bool: ...
    @property
    def other_loggers(self) -> tuple[str, ...]: ...

    def connector(
        self,
        *,
        reachable: bool = True,
        dry_run: bool = False,
        timeout_s: float = 5,
        concurrency: int = 16,
    ) -> AbstractAsyncContextManager[Connector]: ...

    def misbehave(self, fault: Fault, at: Place, *, times: int | None = None) -> None:
        """The fault stays until `heal`, or for the next `times` requests."""
        ...

    def heal(self) -> None:
        """Ends all faults."""
        ...

    def felt(self) -> int:
        """How many requests the faults have met since the last `heal`."""
        ...

    def traffic(self) -> Traffic: ...


def perform(subject: Subject, act: Act, **options: Any) -> Any:
    """Returns what the act returns, with a connector that is opened and closed for it."""

    async def run() -> Any:
        async with subject.connector(**options) as connector:
            return await act(connector)

    return asyncio.run(run())


def known(made: RemoteAccount, attributes: Mapping[str, Any], *, enabled: bool = True) -> Account:
    """What the store would know of an account that was just made."""
    return Account(
        state=AccountState.ACTIVE if enabled else AccountState.DISABLED,
        identifier=made.identifier,
        remote_id=made.remote_id,
        attributes=attributes,
    )


def create_account(subject: Subject, number: str = NUMBER, *, enabled: bool = True) -> Account:
    person = subject.person(number)
    made: RemoteAccount = perform(subject, lambda c: c.create(person, enabled=enabled))
    return known(made, person, enabled=enabled)


def find_account(subject: Subject, attributes: Attributes, **options: Any) -> RemoteAccount | None:
    account: RemoteAccount | None = perform(subject, lambda c: c.find(attributes), **options)
    return account


def look_at(subject: Subject, account: Account, attributes: Attributes) -> RemoteAccount | None:
    """`attributes`: as the account is to be."""
    shown: RemoteAccount | None = perform(subject, lambda c: c.look(account, attributes))
    return shown


def key_of(subject: Subject, number: str) -> str:
    return str(subject.person(number)[subject.target.key])


def with_key(subject: Subject, key: str, number: str = NUMBER) -> Attributes:
    """What the planner would send for a person whose key has become another."""
    return subject.person(number) | {subject.target.key: key}


def seen_with(subject: Subject, key: str) -> SeenAccount:
    """The account that carries this key in the target."""
    name = subject.target.key
    (seen,) = [one for one in subject.accounts() if one.attributes[name] == key]
    return seen


def list_accounts(subject: Subject, **options: Any) -> list[RemoteAccount]:
    async def act(connector: Connector) -> list[RemoteAccount]:
        return [account async for account in connector.list()]

    accounts: list[RemoteAccount] = perform(subject, act, **options)
    return accounts


def changing(operation: str, account: Account, attributes: Attributes | None = None) -> Act:
    """The act of an operation on an account. `attributes`: as they are to be."""
    wanted = account.attributes if attributes is None else attributes

    async def act(connector: Connector) -> Any:
        if operation == "delete":
            return await connector.delete(account)
        return await getattr(connector, operation)(account, wanted)

    return act


def only_account(subject: Subject) -> SeenAccount:
    """The one account that the target has."""
    accounts = subject.accounts()
    assert len(accounts) == 1, f"{len(accounts)} accounts are there instead of one"
    return accounts[0]
