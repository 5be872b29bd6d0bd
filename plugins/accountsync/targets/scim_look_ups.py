"""How a user is looked up, and whose it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from accountsync.domain.accounts.account import Account, Attributes
from accountsync.domain.accounts.likeness import is_like
from accountsync.errors import TransientError
from accountsync.targets import scim_messages
from accountsync.targets.connector import required
from accountsync.targets.scim_provider import Provider, Seen

_CANNOT_FILTER = (400, 403, 501)
_KEY, _NAME = "externalId", "userName"


def carries(resource: Mapping[str, Any], keys: Iterable[object]) -> bool:
    """Whether the user carries one of the keys. Some providers never show an externalId; for them
    their own id has to do."""
    shown = resource.get(_KEY)
    wanted = [str(key) for key in keys if key is not None]
    return shown in (None, "") or any(is_like(key, str(shown)) for key in wanted)


class LookUps:
    """`names`: attributes that a filter may name, the last of which has to be answered."""

    def __init__(self, provider: Provider, names: Sequence[str]) -> None:
        self._provider = provider
        self._names = names

    async def known(self, account: Account, attributes: Attributes) -> tuple[Seen, bool] | None:
        """The user of a known account, and whether it carries a key of the person: the last seen,
        or the wanted one. By the provider's own id, then by the key last seen, unless another
        person has that. A user that carries only the wanted key may be another person's, so it is
        none of the account's."""
        keys = (account.attributes.get(_KEY), attributes.get(_KEY))
        if account.remote_id is not None:
            user = await self._provider.user(account.remote_id)
            if user is not None:
                return user, carries(user.resource, keys)
        if account.key_taken:
            return None
        last = _last_seen(account, attributes)
        user = await self.matching(last)
        if user is not None:
            ours = user.resource.get(_KEY) not in (None, "") and carries(user.resource, keys[:1])
            if ours or keys[0] is None:
                return user, ours or carries(user.resource, keys[1:])
            if account.remote_id is None or user.resource.get(_KEY) in (None, ""):
                return user, False
        return await self._under_the_wanted_key(last, attributes)

    async def _under_the_wanted_key(
        self, last: Attributes, attributes: Attributes
    ) -> tuple[Seen, bool] | None:
        wanted = attributes.get(_KEY)
        if wanted is None or wanted == last[_KEY] or _KEY not in self._names:
            return None
        user = await self._by(_KEY, str(wanted), decides=False)
        return None if user is None else (user, False)

    async def matching(self, attributes: Attributes) -> Seen | None:
        """The user that these attributes name. None only when there is surely none."""
        for name in self._names:
            is_last = name == self._names[-1]
            user = await self._by(name, required(attributes, name), decides=is_last)
            if user is not None:
                return user
        return None

    async def named(self, name: str) -> Seen | None:
        return await self._by(_NAME, name, decides=True)

    async def _by(self, name: str, wanted: str, *, decides: bool) -> Seen | None:
        """`decides`: a provider that does not answer, or ignores the filter, is no absence."""
        query = {"filter": scim_messages.equals(name, wanted), "count": "10"}
        answer = await self._provider.read(scim_messages.request("GET", "/Users", query=query))
        if not decides and answer.status in _CANNOT_FILTER:
            return None
        resources, total = scim_messages.listed(answer, "find")
        if total and not resources:
            raise TransientError("find: hits are declared but not delivered")
        alike = [one for one in resources if _folded(one.get(name)) == _folded(wanted)]
        exact = [one for one in alike if one.get(name) == wanted]
        for resource in exact or alike:
            return await self._provider.listed(resource)
        if resources and decides:
            raise TransientError(f"the filter on {name} was ignored: no sure answer")
        return None

    async def answers(self, name: str) -> bool:
        """Whether the provider takes a filter on this attribute."""
        query = {"filter": scim_messages.equals(name, "accountsync-nobody"), "count": "1"}
        answer = await self._provider.read(scim_messages.request("GET", "/Users", query=query))
        if answer.status != 200:
            return False
        return not scim_messages.page(answer, "find")[0]


def _last_seen(account: Account, attributes: Attributes) -> dict[str, object]:
    """What the account was last seen to carry; the wanted values only where nothing was seen."""
    key = account.attributes.get(_KEY)
    name = account.attributes.get(_NAME) or account.identifier
    return {
        _KEY: attributes.get(_KEY) if key is None else key,
        _NAME: name or attributes.get(_NAME),
    }


def _folded(value: object) -> str:
    return str("" if value is None else value).casefold()
