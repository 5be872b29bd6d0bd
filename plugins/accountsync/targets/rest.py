"""A target whose HTTP API is declared in the configuration. Quirks of products live in presets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any

from accountsync.domain.accounts.account import (
    Account,
    AccountState,
    Attributes,
    Operation,
    RemoteAccount,
)
from accountsync.errors import (
    AccountMissingError,
    AccountSyncError,
    ConfigurationError,
    NeedsHumanError,
    RejectedByTargetError,
    TransientError,
    UnknownOutcomeError,
)
from accountsync.settings.targets import RestTarget
from accountsync.targets.by_hand import is_done
from accountsync.targets.connector import required
from accountsync.targets.declared import DeclaredCall, DeclaredFind
from accountsync.targets.rest_check import check
from accountsync.targets.rest_list import listed
from accountsync.wire.answer import Answer
from accountsync.wire.api import Api
from accountsync.wire.dry_run import Refusals
from accountsync.wire.request import MASK, Rendered, RequestTemplate


class RestConnector:
    def __init__(self, target: RestTarget, api: Api) -> None:
        self._target = target
        self._api = api
        self._calls = {
            operation: DeclaredCall(call, target) for operation, call in target.calls.items()
        }
        self._manual = target.manual
        self._find = DeclaredFind(target.find, target) if target.find else None

    @property
    def operations(self) -> frozenset[Operation]:
        """A human's are among them: they raise NeedsHumanError until a look-up shows them done."""
        return frozenset(self._calls) | frozenset(self._manual)

    @property
    def can_find(self) -> bool:
        return self._find is not None

    @property
    def can_list(self) -> bool:
        return self._target.list is not None

    async def create(self, attributes: Attributes, *, enabled: bool = True) -> RemoteAccount:
        """Where the request cannot make a disabled account, it is disabled next. Should that fail,
        the account is there and usable, and a look-up shows it."""
        if Operation.CREATE in self._manual:
            return await self._by_hand(Operation.CREATE, attributes)
        call = self._call(Operation.CREATE)
        identifier = required(attributes, self._target.identifier)
        is_disabled_next = not (enabled or call.reads_enabled)
        if is_disabled_next and Operation.DISABLE not in self._calls:
            raise RejectedByTargetError(
                "the target cannot make an account that is not usable yet: let `create` read"
                " `enabled`, or declare `disable`",
                code="not_declared",
            )
        refusals = Refusals()
        context = self._context(attributes) | {"enabled": enabled}
        answer = await refusals.of(self._change(call, context))
        if answer is None:
            if is_disabled_next:
                new = _account(identifier, MASK, attributes)
                await refusals.of(self.disable(new, attributes))
            raise refusals.error()
        made = self._made(call, answer, identifier, enabled=enabled or is_disabled_next)
        return await self._disabled(made, attributes) if is_disabled_next else made

    def _made(
        self, call: DeclaredCall, answer: Answer, identifier: str, *, enabled: bool
    ) -> RemoteAccount:
        decided = call.identifier(answer)
        identifier = decided if decided and isinstance(decided, str) else identifier
        return RemoteAccount(
            identifier=identifier,
            remote_id=_remote_id(call, answer),
            ours=True,
            enabled=enabled,
            attributes={self._target.identifier: identifier},
        )

    async def _disabled(self, made: RemoteAccount, attributes: Attributes) -> RemoteAccount:
        account = _account(made.identifier, made.remote_id, attributes)
        try:
            await self.disable(account, attributes)
        except AccountSyncError as error:
            raise UnknownOutcomeError(f"created, but not yet disabled: {error}") from error
        return replace(made, enabled=False)

    async def update(self, account: Account, attributes: Attributes) -> RemoteAccount:
        return await self._changed(Operation.UPDATE, account, attributes)

    async def rename(self, account: Account, attributes: Attributes) -> RemoteAccount:
        return await self._changed(Operation.RENAME, account, attributes)

    async def enable(self, account: Account, attributes: Attributes) -> RemoteAccount:
        refusals = Refusals()
        if Operation.UPDATE in self._calls and _differing(account, attributes):
            await refusals.of(self._changed(Operation.UPDATE, account, attributes))
        enabled = await refusals.of(self._changed(Operation.ENABLE, account, attributes))
        if enabled is None or refusals:
            raise refusals.error()
        return replace(enabled, enabled=True)

    async def disable(self, account: Account, attributes: Attributes) -> RemoteAccount:
        changed = await self._changed(Operation.DISABLE, account, attributes)
        return replace(changed, identifier=account.identifier, enabled=False)

    async def delete(self, account: Account) -> None:
        await self._changed(Operation.DELETE, account, account.attributes)

    async def _changed(
        self, operation: Operation, account: Account, attributes: Attributes
    ) -> RemoteAccount:
        if operation in self._manual:
            return await self._by_hand(operation, attributes)
        call = self._call(operation)
        identifier = required(attributes, self._target.identifier)
        if call.reads_remote_id and account.remote_id is None:
            account = await self._identified(account, attributes)
        context = self._context(attributes) | {
            "account": account.as_context(),
            "changed": _differing(account, attributes),
        }
        answer = await self._change(call, context)
        return RemoteAccount(
            identifier=identifier,
            remote_id=_remote_id(call, answer) or account.remote_id,
            ours=True,
        )

    async def _by_hand(self, operation: Operation, attributes: Attributes) -> RemoteAccount:
        account = await self.find(attributes) if self._find else None
        done = self._find is not None and is_done(operation, account, attributes)
        if not done or account is None:
            raise NeedsHumanError(f"by hand: {self._manual[operation]}", code="manual")
        return account

    async def _identified(self, account: Account, attributes: Attributes) -> Account:
        """An account that was recorded without the target's own id is looked up by its key."""
        if self._find is None:
            raise NeedsHumanError("the target's own id of this account is not known here")
        remote = await self.find(attributes)
        if remote is None:
            raise AccountMissingError("a look-up by key does not show the account")
        if not remote.ours:
            raise RejectedByTargetError("the account found does not carry this person's key")
        return replace(account, remote_id=remote.remote_id)

    async def find(self, attributes: Attributes) -> RemoteAccount | None:
        if self._find is None:
            raise ConfigurationError(f"{self._api.endpoint.conn_id}: the target declares no `find`")
        answer = await self._api.read(self._render(self._find.request, self._context(attributes)))
        if self._find.is_absent(answer):
            return None
        if not self._find.is_found(answer):
            raise TransientError(f"find: HTTP {answer.status} is neither found nor absent")
        return self._account_in(self._find, answer, attributes)

    def _account_in(
        self, find: DeclaredFind, answer: Answer, attributes: Attributes
    ) -> RemoteAccount:
        """Some targets ignore the filter, so the account has to carry the wanted key."""
        item = find.item(answer)
        wanted = required(attributes, self._target.key)
        return find.view.account(
            item,
            ours=find.view.key(item).casefold() == wanted.casefold(),
            identifier=required(attributes, self._target.identifier),
        )

    async def look(self, account: Account, attributes: Attributes) -> RemoteAccount | None:
        return await self.find({**attributes, **account.attributes})

    def list(self) -> AsyncIterator[RemoteAccount]:
        return listed(self._target, self._api)

    async def check(self) -> str:
        return await check(self._target, self._api)

    def _call(self, operation: Operation) -> DeclaredCall:
        if operation not in self._calls:
            raise RejectedByTargetError(
                f"the target declares no `{operation}`", code="not_declared"
            )
        return self._calls[operation]

    async def _change(self, call: DeclaredCall, context: Mapping[str, Any]) -> Answer:
        answer = await self._api.change(self._render(call.request, context))
        call.judge(answer)
        return answer

    def _context(self, attributes: Attributes) -> dict[str, Any]:
        return {"attributes": attributes, "key": required(attributes, self._target.key)}

    def _render(self, request: RequestTemplate, context: Mapping[str, Any]) -> Rendered:
        return request.render({"conn": self._api.endpoint.as_context(), **context})


def _account(identifier: str, remote_id: str | None, attributes: Attributes) -> Account:
    """An account that was just made, or in a dry run would have been."""
    return Account(
        state=AccountState.ACTIVE, identifier=identifier, remote_id=remote_id, attributes=attributes
    )


def _differing(account: Account, attributes: Attributes) -> dict[str, Any]:
    return {
        name: value for name, value in attributes.items() if account.attributes.get(name) != value
    }


def _remote_id(call: DeclaredCall, answer: Answer) -> str | None:
    remote_id = call.remote_id(answer)
    return None if remote_id is None else str(remote_id)
