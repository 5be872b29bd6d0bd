"""Whether the lock of OpenLDAP's ppolicy overlay keeps anybody out (I17).

`pwdAccountLockedTime` can be set wherever the overlay is loaded, and it counts only where the entry
is ruled by a policy with `pwdLockout: TRUE`. Which policy rules an entry without one of its own
stands in the server's configuration, which our login may not read. So an account that is disabled
is put under the policy that our configuration names; or the server itself has to say of a login
that the account is locked.
"""

from __future__ import annotations

import secrets

from accountsync.errors import AccountSyncError, ConfigurationError, RejectedByTargetError
from accountsync.settings.ldap import Disabling
from accountsync.wire import ldap_controls
from accountsync.wire.directory import Directory
from accountsync.wire.ldap_messages import Entry

POLICY_OF_ENTRY = "pwdPolicySubentry"
_CURE = (
    "nothing shows that pwdAccountLockedTime keeps anybody out: load the overlay ppolicy for the"
    " base and name a policy with `pwdLockout: TRUE` under `disabling.policy`, which our login may"
    " read (or set ppolicy_use_lockout); or name another attribute under `disabling`"
)


class Lockout:
    def __init__(self, disabling: Disabling, directory: Directory) -> None:
        self._declared = disabling.policy
        self._directory = directory
        self._policies: dict[str, bool | None] = {}
        self._proven: dict[str, bool] = {}

    async def refuse_what_cannot_lock(self, entry: Entry) -> None:
        """Before anything is sent. What shows by a login only is not refused here."""
        own = entry.text(POLICY_OF_ENTRY)
        if (policy := own or self._declared) and await self._locks(policy) is not True:
            raise self._refusal(own)

    async def require(self, entry: Entry) -> None:
        """Of an entry that has the lock. Raises an error with what to do."""
        if not await self.is_proven(entry):
            raise self._refusal(entry.text(POLICY_OF_ENTRY))

    async def is_proven(self, entry: Entry) -> bool:
        """Whether a login fails for this entry, which has the lock. Tried once for a policy."""
        policy = entry.text(POLICY_OF_ENTRY) or ""
        if policy not in self._proven:
            self._proven[policy] = await self._shows(entry, policy)
        return self._proven[policy]

    async def check(self, locked: Entry | None) -> None:
        """`locked`: an entry that has the lock, if there is any. Raises ConfigurationError."""
        if self._declared and await self._locks(self._declared) is True:
            return
        if self._declared or locked is None or not await self.is_proven(locked):
            raise self._refusal(None)

    async def _shows(self, entry: Entry, policy: str) -> bool:
        """By a login with a password that nobody has: the overlay answers before a password is
        looked at, so no failure is counted."""
        answer = await self._directory.bind_answer(entry.dn, secrets.token_urlsafe(24))
        is_locked = ldap_controls.says_locked(answer)
        if is_locked is None:  # no overlay is at work
            return False
        return is_locked or bool(policy and await self._locks(policy))

    async def _locks(self, policy: str) -> bool | None:
        """None: it is not there, or our login may not read it."""
        if policy not in self._policies:
            read = await self._directory.read(policy, attributes=["pwdLockout"])
            self._policies[policy] = None if read is None else read.text("pwdLockout") == "TRUE"
        return self._policies[policy]

    def _refusal(self, own: str | None) -> AccountSyncError:
        """An entry with a policy of its own says nothing about the others."""
        if own and own != self._declared:
            return RejectedByTargetError(
                "its own password policy (pwdPolicySubentry) has no `pwdLockout: TRUE` that our"
                " login can read: the lock would keep nobody out",
                code="pwdLockout",
            )
        return ConfigurationError(f"{self._directory.endpoint.conn_id}: {_CURE}")
