"""Targets of kind `ldap`: OpenLDAP and its like, and Active Directory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, PositiveInt, model_validator

from accountsync.domain.accounts.distinguished_name import is_below, parsed
from accountsync.settings.parts import Group, Rate
from accountsync.settings.problems import Problem, ProblemsError
from accountsync.settings.target import Target

OURS_TO_SET = frozenset({"objectclass", "unicodepwd", "userpassword", "useraccountcontrol"})
"""The connector sets these itself; a password has no place in a configuration."""
LOCK = "pwdaccountlockedtime"
"""The lock of the ppolicy overlay, which counts only where a password policy says so."""


def _valid(text: str) -> str:
    parsed(text)
    return text


DistinguishedName = Annotated[str, AfterValidator(_valid), Field(min_length=3)]


class Disabling(Group):
    """How an account of an OpenLDAP directory is disabled: one attribute, two values."""

    attribute: str = Field(
        "pwdAccountLockedTime", description="default: the lock of the ppolicy overlay"
    )
    disabled: str = Field("000001010000Z", description="default: locked until an admin unlocks it")
    enabled: str | None = Field(None, description="none: the attribute is taken away")
    policy: DistinguishedName | None = Field(
        None,
        description="a password policy with pwdLockout: TRUE, which a disabled account is put under"
        " and our login reads. None: the server has to say by `ppolicy_use_lockout` that it locks",
    )


class Groups(Group):
    """Memberships that follow from the rules. Groups that are not named here are left alone."""

    attribute: str = Field("groups", description="the mapped attribute that lists who is in what")
    managed: list[DistinguishedName] = Field(
        min_length=1, description="groups that people are added to and taken from"
    )
    member: str = Field("member", description="the attribute of a group that lists its members")


class LdapTarget(Target):
    """Entries of a directory (RFC 4511), found again by the attribute `key`."""

    kind: Literal["ldap"]
    dialect: Literal["openldap", "active_directory"] = Field(
        description="openldap serves its like too, active_directory Samba too"
    )
    base: DistinguishedName = Field(description="below it all accounts are made and looked for")
    search_base: DistinguishedName | None = Field(
        None,
        description="accounts are looked for below it before one is made; default: the whole naming"
        " context (the domain) that `base` lies in, as far as our login may read it",
    )
    object_classes: list[str] = Field(
        min_length=1,
        description="of a new entry; openldap: the first tells accounts from other entries",
    )
    rdn: str = Field(description="the attribute that names an entry within its container")
    container: str | None = Field(
        None,
        description="the mapped attribute that says where below `base` an account lies: OU=…,OU=…"
        " or a path such as Group/Research. None: right below `base`",
    )
    disabling: Disabling = Field(Disabling(), description="openldap only")
    groups: Groups | None = Field(None, description="memberships that follow from the rules")
    page_size: Annotated[PositiveInt, Field(le=1000)] = 500
    rate: Rate = Rate(concurrency=2)

    @model_validator(mode="after")
    def _parts_fit(self) -> LdapTarget:
        if problems := list(self._misfits()):
            raise ProblemsError(problems)
        return self

    def _misfits(self) -> Iterator[Problem]:
        named = {"rdn": self.rdn, "container": self.container}
        for setting, attribute in named.items():
            if attribute is not None and attribute not in self.attributes:
                yield Problem((setting,), f"{attribute!r} is not one of the attributes")
        if self.search_base and not is_below(self.base, self.search_base):
            yield Problem(("search_base",), "`base` has to lie below it")
        if self.disabling.policy and self.disabling.attribute.lower() != LOCK:
            message = f"only {LOCK} asks for a policy; `attribute` is another one"
            yield Problem(("disabling", "policy"), message)
        if self.groups and self.groups.attribute not in self.attributes:
            message = f"{self.groups.attribute!r} is not one of the attributes"
            yield Problem(("groups", "attribute"), message)
        for attribute in self.attributes:
            if attribute.lower() in OURS_TO_SET:
                yield Problem(("attributes", attribute), "is set by the connector itself")
            if attribute.lower() == self.disabling.attribute.lower():
                message = (
                    f"{attribute!r} is mapped as well, so that an update would undo a disable: map"
                    " another one, or disable by another one"
                )
                yield Problem(("disabling", "attribute"), message)

    @property
    def memberships(self) -> frozenset[str]:
        return frozenset({self.groups.attribute} if self.groups else ())

    @property
    def named(self) -> list[str]:
        """The distinguished names in the configuration itself, which are no personal data."""
        named = [self.search_base, self.disabling.policy]
        managed = self.groups.managed if self.groups else ()
        return [self.base, *managed, *(name for name in named if name)]

    @property
    def written(self) -> list[str]:
        """The attributes that stand in an entry."""
        groups = self.groups.attribute if self.groups else None
        return [name for name in self.attributes if name not in (self.container, groups)]
