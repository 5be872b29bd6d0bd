"""A target whose HTTP API is declared in the configuration. Quirks of products live in presets.

A known account is looked at before it is changed, where the target declares `find`: the change goes
to the account that carries the key last seen, or whose own id that is, and to no other (I18). A
changed key and a changed identifier are looked at afterwards, too, because the next change depends
on them; what else a target shows of a change stands in its answer (`item`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any

from accountsync.domain.accounts.account import (
    TAKES_AWAY,
    Account,
    AccountState,
    Attributes,
    Operation,
    RemoteAccount,
)
from accountsync.domain.accounts.likeness import is_like
from accountsync.errors import (
    AccountExistsError,
    AccountMissingError,
    AccountSyncError,
    ConfigurationError,
    NeedsHumanError,
    RejectedByTargetError,
    UnknownOutcomeError,
)
from accountsync.settings.targets import RestTarget
from accountsync.targets.by_hand import ByHand
from accountsync.targets.connector import required
from accountsync.targets.declared import DeclaredCall
from accountsync.targets.rest_check import check
from accountsync.targets.rest_list import listed
from accountsync.targets.rest_look import Looks, is_another
from accountsync.wire.answer import Answer
from accountsync.wire.api import Api
from accountsync.wire.dry_run import Refusals
from accountsync.wire.request import MASK


class RestConnector:
    is_watched = True

    def __init__(self, target: RestTarget, api: Api) -> None:
        self._target = target
        self._api = api
        self._calls = {
            operation: DeclaredCall(call, target) for operation, call in target.calls.items()
        }
        self._looks = Looks(target, target.find, api) if target.find else None
        self._by_hand = ByHand(target.manual, self._looks)

    @property
    def operations(self) -> frozenset[Operation]:
        """A human's are among them: they raise NeedsHumanError until a look-up shows them done."""
        return frozenset(self._calls) | frozenset(self._by_hand.operations)

    @property
    def can_find(self) -> bool:
        return self._looks is not None

    @property
    def can_list(self) -> bool:
        return self._target.list is not None

    async def create(self, attributes: Attributes, *, enabled: bool = True) -> RemoteAccount:
        """Where the request cannot make a disabled account, it is disabled next. Should that fail,
        the account is there and usable, and a look-up shows it."""
        if Operation.CREATE in self._by_hand.operations:
            return await self._by_hand.made(attributes)
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
        key = required(attributes, self._target.key)
        context = {"attributes": attributes, "key": key, "enabled": enabled}
        answer = await refusals.of(self._sent(call, context))
        if answer is None:
            if is_disabled_next:
                new = RemoteAccount(identifier=identifier, remote_id=MASK, ours=True)
                await refusals.of(self._disabled_next(new, attributes))
            raise refusals.error()
        made = self._made(call, answer, identifier)
        return await self._disabled(made, attributes) if is_disabled_next else made

    def _made(self, call: DeclaredCall, answer: Answer, identifier: str) -> RemoteAccount:
        shown = self._in_answer(call, answer)
        decided = call.identifier(answer)
        decided = decided if decided and isinstance(decided, str) else shown.identifier
        own = {self._target.identifier: decided} if decided else {}
        return replace(
            shown,
            identifier=decided or identifier,
            remote_id=_remote_id(call, answer) or shown.remote_id,
            attributes={**shown.attributes, **own},
        )

    async def _disabled(self, made: RemoteAccount, attributes: Attributes) -> RemoteAccount:
        try:
            disabled = await self._disabled_next(made, attributes)
        except AccountSyncError as error:
            raise UnknownOutcomeError(f"created, but not yet disabled: {error}") from error
        return replace(made, enabled=disabled.enabled)

    async def _disabled_next(self, made: RemoteAccount, attributes: Attributes) -> RemoteAccount:
        """What was just made is looked at only where its id is needed, and was not shown."""
        account = Account(
            state=AccountState.ACTIVE,
            identifier=made.identifier,
            remote_id=made.remote_id,
            attributes=attributes,
        )
        seen: RemoteAccount | None = made
        if made.remote_id is None and self._call(Operation.DISABLE).reads_remote_id:
            seen = await self._seen(account, attributes)
        return await self._changed(Operation.DISABLE, account, attributes, seen)

    async def update(self, account: Account, attributes: Attributes) -> RemoteAccount:
        return await self._change(Operation.UPDATE, account, attributes)

    async def rename(self, account: Account, attributes: Attributes) -> RemoteAccount:
        return await self._change(Operation.RENAME, account, attributes)

    async def enable(self, account: Account, attributes: Attributes) -> RemoteAccount:
        """What differs is set first, so that nobody gets in with what has been true before."""
        if Operation.UPDATE not in self._calls or not _differing(account, attributes):
            return await self._change(Operation.ENABLE, account, attributes)
        refusals = Refusals()
        first = seen = await self._seen(account, attributes)
        updated = await refusals.of(self._changed(Operation.UPDATE, account, attributes, seen))
        if updated:
            seen = replace(updated, enabled=None)
            account = replace(account, attributes={**account.attributes, **updated.attributes})
        enabled = await refusals.of(self._enabled(account, attributes, seen))
        if enabled is None or updated is None or refusals:
            raise refusals.error()
        return replace(
            enabled,
            was_enabled=first.enabled if first else None,
            attributes={**updated.attributes, **enabled.attributes},
        )

    async def _enabled(
        self, account: Account, attributes: Attributes, seen: RemoteAccount | None
    ) -> RemoteAccount:
        if Operation.ENABLE in self._by_hand.operations:
            return await self._by_hand.done(Operation.ENABLE, account, attributes)
        return await self._changed(Operation.ENABLE, account, attributes, seen)

    async def disable(self, account: Account, attributes: Attributes) -> RemoteAccount:
        return await self._change(Operation.DISABLE, account, attributes)

    async def delete(self, account: Account) -> None:
        await self._change(Operation.DELETE, account, account.attributes)

    async def _change(
        self, operation: Operation, account: Account, attributes: Attributes
    ) -> RemoteAccount:
        if operation in self._by_hand.operations:
            return await self._by_hand.done(operation, account, attributes)
        self._call(operation)
        seen = await self._seen(account, attributes)
        return await self._changed(operation, account, attributes, seen)

    async def _seen(self, account: Account, attributes: Attributes) -> RemoteAccount | None:
        """None where it is absent or cannot be looked at."""
        return await self._looks.own(account, attributes) if self._looks else None

    async def _changed(
        self,
        operation: Operation,
        account: Account,
        attributes: Attributes,
        seen: RemoteAccount | None,
    ) -> RemoteAccount:
        """`seen`: the account as a look has shown it."""
        call = self._call(operation)
        if call.reads_remote_id:
            account = self._identified(operation, account, seen)
        key = self._key_of(account, attributes, seen)
        wanted = str(attributes.get(self._target.key) or key)
        has_new_key = operation in _SETS and not is_like(wanted, key)
        if has_new_key and call.carries_key:
            await self._require_free(account, attributes)
        context = {
            "attributes": attributes,
            "key": key,
            "account": account.as_context(),
            "changed": _differing(account, attributes),
        }
        answer = await self._sent(call, context)
        changed = self._result(call, answer, account, seen)
        if has_new_key and not call.carries_key:
            return _with(changed, {self._target.key: key})
        if has_new_key or operation == Operation.RENAME:
            return await self._after(changed, account, attributes)
        return changed

    def _key_of(self, account: Account, attributes: Attributes, seen: RemoteAccount | None) -> str:
        """The key that the account carries: as it was seen just now, or else last."""
        sources = (seen.attributes if seen else {}, account.attributes, attributes)
        known = (source for source in sources if source.get(self._target.key) is not None)
        return required(next(known, attributes), self._target.key)

    async def _require_free(self, account: Account, attributes: Attributes) -> None:
        """The key that the account is to get may be another account's, as after a swap."""
        other = await self._looks.find(attributes) if self._looks else None
        if other is None or not other.ours:
            return
        if None in (other.remote_id, account.remote_id) or is_another(other, account):
            raise AccountExistsError("another account has the key that this one is to get")

    def _result(
        self, call: DeclaredCall, answer: Answer, account: Account, seen: RemoteAccount | None
    ) -> RemoteAccount:
        shown = self._in_answer(call, answer)
        before = seen.remote_id if seen else None
        return replace(
            shown,
            identifier=shown.identifier or (seen.identifier if seen else account.identifier),
            remote_id=_remote_id(call, answer) or shown.remote_id or before or account.remote_id,
            was_enabled=seen.enabled if seen else None,
        )

    async def _after(
        self, changed: RemoteAccount, account: Account, attributes: Attributes
    ) -> RemoteAccount:
        """With what a look shows now. Without one, the name that was sent and taken is the
        account's."""
        name = self._target.identifier
        if self._looks is None:
            return replace(changed, identifier=str(attributes.get(name) or changed.identifier))
        wanted = {**account.attributes, **attributes}
        named = str(wanted.get(name) or account.identifier)
        now = replace(account, identifier=named, remote_id=changed.remote_id, attributes=wanted)
        try:
            shown = await self._looks.look(now, wanted)
            shown = shown or await self._looks.look(account, account.attributes)
        except AccountSyncError as error:
            raise UnknownOutcomeError(f"changed, but the look after it failed: {error}") from error
        if shown is None:
            return changed
        return replace(shown, was_enabled=changed.was_enabled)

    def _identified(
        self, operation: Operation, account: Account, seen: RemoteAccount | None
    ) -> Account:
        """The account with the target's own id. What the target does not show any more is not sent
        a change by that id: it may have become somebody else's."""
        if seen is not None:
            known = seen.remote_id or account.remote_id
        elif self._looks is None:
            known = account.remote_id
        else:
            raise self._absent(operation, account)
        if known is None:
            raise NeedsHumanError("the target's own id of this account is not known here")
        return replace(account, remote_id=known)

    def _absent(self, operation: Operation, account: Account) -> AccountSyncError:
        is_sure = account.remote_id is None or (self._looks and self._looks.sees_by_id)
        if is_sure or operation not in TAKES_AWAY:
            return AccountMissingError("a look-up does not show the account")
        return NeedsHumanError(
            "the account is not there by its key, and no look-up by the target's own id is declared"
            " (`find.by_id`): look there whether it has gone, or carries another key"
        )

    async def find(self, attributes: Attributes) -> RemoteAccount | None:
        return await self._required_looks().find(attributes)

    async def look(self, account: Account, attributes: Attributes) -> RemoteAccount | None:
        return await self._required_looks().look(account, attributes)

    def _required_looks(self) -> Looks:
        if self._looks is None:
            raise ConfigurationError(f"{self._api.endpoint.conn_id}: the target declares no `find`")
        return self._looks

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

    async def _sent(self, call: DeclaredCall, context: Mapping[str, Any]) -> Answer:
        conn = {"conn": self._api.endpoint.as_context()}
        request = call.request.render(conn | dict(context))
        answer = await self._api.change(request)
        call.judge(answer, request)
        return answer

    def _in_answer(self, call: DeclaredCall, answer: Answer) -> RemoteAccount:
        item = call.item(answer)
        if self._looks is None or item is None:
            return RemoteAccount(identifier="", remote_id=None, ours=True)
        return self._looks.in_answer(answer, item)


_SETS = (Operation.UPDATE, Operation.RENAME, Operation.ENABLE)


def _differing(account: Account, attributes: Attributes) -> dict[str, Any]:
    return {
        name: value for name, value in attributes.items() if account.attributes.get(name) != value
    }


def _with(account: RemoteAccount, attributes: Attributes) -> RemoteAccount:
    return replace(account, attributes={**account.attributes, **attributes})


def _remote_id(call: DeclaredCall, answer: Answer) -> str | None:
    remote_id = call.remote_id(answer)
    return None if remote_id is None else str(remote_id)
