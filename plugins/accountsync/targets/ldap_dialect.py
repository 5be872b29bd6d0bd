"""The protocol of what directories do differently."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from accountsync.domain.accounts.account import Attributes
from accountsync.targets.ldap_lockout import Lockout
from accountsync.wire.directory import Directory
from accountsync.wire.ldap_messages import Control, Entry, EntryAttributes, Step


class Dialect(Protocol):
    """`shown`: attributes that it reads besides the mapped. `groups_follow`: whether the server
    itself surely keeps an entry in its groups when the entry moves. `deleted`: shows entries that
    were deleted. `lockout`: what proves that a disabled account is locked, where that is open."""

    @property
    def id_attribute(self) -> str: ...
    @property
    def skips_references(self) -> bool: ...
    @property
    def tests(self) -> Mapping[str, bytes | None]: ...
    @property
    def shown(self) -> Sequence[str]: ...
    @property
    def groups_follow(self) -> bool: ...
    @property
    def deleted(self) -> Control | None: ...
    @property
    def lockout(self) -> Lockout | None: ...

    def remote_id(self, entry: Entry) -> str: ...
    def id_value(self, remote_id: str) -> bytes:
        """Raises ValueError for what is no id."""
        ...

    def name_by_id(self, remote_id: str) -> str | None:
        """A name that leads to the entry wherever it lies; None where there is none."""
        ...

    def is_domain_wide(self, attribute: str) -> bool:
        """Whether nobody else in the naming context, account or not, may have the same value."""
        ...

    def refuse(self, attributes: Attributes) -> None:
        """Raises RejectedByTargetError for what the target would refuse, or cut, silently."""
        ...

    def birth(self, *, enabled: bool) -> EntryAttributes:
        """The attributes that a new entry has besides the mapped ones."""
        ...

    def is_enabled(self, entry: Entry) -> bool | None: ...
    def set_enabled(self, entry: Entry, *, enabled: bool) -> list[Step]: ...
    def is_sure_of_absence(self, root: Entry) -> bool: ...
    async def check(self, directory: Directory, root: Entry) -> str: ...
