"""Looks at single accounts of a declared target: by their key, or by the target's own id."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from accountsync.domain.accounts.account import Account, Attributes, RemoteAccount
from accountsync.domain.accounts.likeness import is_like
from accountsync.errors import FOREIGN, ForeignAccountError, TransientError
from accountsync.settings.targets import BY_ID_ROOTS, FIND_ROOTS, Find, RestTarget
from accountsync.targets.connector import required
from accountsync.targets.declared import DeclaredLook, ItemView, with_item
from accountsync.wire.answer import Answer
from accountsync.wire.api import Api


class Looks:
    def __init__(self, target: RestTarget, find: Find, api: Api) -> None:
        self._api = api
        self._key, self._identifier = target.key, target.identifier
        self._by_key = DeclaredLook(find, roots=FIND_ROOTS)
        self._by_id = DeclaredLook(find.by_id, roots=BY_ID_ROOTS) if find.by_id else None
        self._view = ItemView(find, key=target.key, identifier=target.identifier)

    @property
    def sees_by_id(self) -> bool:
        """Whether an account that carries another key by now is seen, too."""
        return self._by_id is not None

    async def find(self, attributes: Attributes) -> RemoteAccount | None:
        """Some targets ignore the filter, so the account is `ours` by the key that it shows."""
        key, identifier = required(attributes, self._key), required(attributes, self._identifier)
        return await self._carrying(key, attributes, identifier)

    async def look(self, account: Account, attributes: Attributes) -> RemoteAccount | None:
        """As `Connector.look`. An account with another remote id is not this one, whatever its key
        is: somebody has given the key to another account."""
        remote = await self._with_id(account, attributes)
        if remote is not None:
            return remote
        last = self.last_key(account, attributes)
        own = {**attributes, **account.attributes}
        remote = await self._carrying(last, own, account.identifier)
        if remote is None:
            return await self._moved(account, attributes, last)
        if is_another(remote, account):
            return replace(remote, ours=False)
        return remote

    def last_key(self, account: Account, attributes: Attributes) -> str:
        """The key that the account was last seen to carry."""
        is_known = account.attributes.get(self._key) is not None
        return required(account.attributes if is_known else attributes, self._key)

    async def own(self, account: Account, attributes: Attributes) -> RemoteAccount | None:
        """The account as it is before a change. Raises ForeignAccountError where it is somebody
        else's by now (I18)."""
        remote = await self.look(account, attributes)
        if remote is not None and not remote.ours:
            raise ForeignAccountError(FOREIGN)
        return remote

    async def _moved(
        self, account: Account, attributes: Attributes, last: str
    ) -> RemoteAccount | None:
        """The account under the key that is wanted by now, which only its own id proves."""
        wanted = attributes.get(self._key)
        if self._by_id or account.remote_id is None or wanted is None or is_like(str(wanted), last):
            return None
        remote = await self._carrying(str(wanted), attributes, account.identifier)
        return remote if remote and remote.remote_id == account.remote_id else None

    async def _with_id(self, account: Account, attributes: Attributes) -> RemoteAccount | None:
        if self._by_id is None or account.remote_id is None:
            return None
        answer = await self._asked(self._by_id, {"account": account.as_context()}, "find.by_id")
        if answer is None:
            return None
        keys = {self.last_key(account, attributes), attributes.get(self._key)}
        remote = self._shown(self._by_id, answer, keys, account.identifier)
        if remote.remote_id != account.remote_id:
            raise TransientError("find.by_id: the answer shows another id than was asked for")
        return remote

    async def _carrying(
        self, key: str, attributes: Attributes, identifier: str
    ) -> RemoteAccount | None:
        context = {"attributes": attributes, "key": key}
        answer = await self._asked(self._by_key, context, "find")
        if answer is None:
            return None
        return self._shown(self._by_key, answer, {key}, identifier)

    async def _asked(
        self, look: DeclaredLook, context: Mapping[str, Any], name: str
    ) -> Answer | None:
        """None where the account is surely absent. What is neither is no answer (I9)."""
        conn = {"conn": self._api.endpoint.as_context()}
        answer = await self._api.read(look.request.render(conn | dict(context)))
        if look.is_absent(answer):
            return None
        if not look.is_found(answer):
            raise TransientError(f"{name}: HTTP {answer.status} is neither found nor absent")
        return answer

    def _shown(
        self, look: DeclaredLook, answer: Answer, keys: set[object], identifier: str
    ) -> RemoteAccount:
        item = look.item(answer)
        key = self._view.key(item)
        ours = any(is_like(str(known), key) for known in keys if known is not None)
        return self._view.account(item, ours=ours, identifier=identifier)

    def in_answer(self, answer: Answer, item: Any) -> RemoteAccount:
        """The account as the answer to a change shows it, which need not be all of it."""
        return self._view.account(with_item(answer, item), ours=True, whole=False)


def is_another(remote: RemoteAccount, account: Account) -> bool:
    """Whether both are known by the target's own ids, and these differ."""
    ids = (remote.remote_id, account.remote_id)
    return None not in ids and ids[0] != ids[1]
