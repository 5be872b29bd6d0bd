"""Whether the targets hold exactly what HR says, person by person."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .http_json import call
from .settings import TARGETS

Row = Mapping[str, Any]

VALID_STATUSES = frozenset({"1"})
_UNIQUE = {
    "idaas": ("userName", "email", "employeeNumber"),
    "welink": ("corpUserId", "userEmail"),
    "exchange": ("SAMAccountName", "Alias", "EmailAddress"),
}
_EXAMPLES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """HR's persons and each target's accounts, as the simulators hold them."""

    persons: Sequence[Row]
    accounts: Mapping[str, Sequence[Row]]

    @property
    def entitled(self) -> set[str]:
        """Employee numbers of those who must have accounts."""
        return {
            person["employeeNumber"]
            for person in self.persons
            if person["employeeStatus"] in VALID_STATUSES
        }

    def counts(self) -> dict[str, int]:
        """Of the accounts in use."""
        return {target: len(_in_use(self, target)) for target in TARGETS}


def read_world(urls: Mapping[str, str]) -> World:
    """Ask the simulators; `urls` names `hr` and the targets."""
    persons = call("GET", f"{urls['hr']}/_sim/persons?limit=1000000")["persons"]
    accounts = {name: call("GET", f"{urls[name]}/_sim/accounts")["accounts"] for name in TARGETS}
    return World(persons=persons, accounts=accounts)


def problems(world: World) -> list[str]:
    """Everything that is not as it must be; empty when all is well."""
    return [problem for target in TARGETS for problem in _problems_of(world, target)]


def _problems_of(world: World, target: str) -> Iterator[str]:
    owners = Counter(_owner(world, target, account) for account in world.accounts[target])
    in_use = {_owner(world, target, account) for account in _in_use(world, target)}
    entitled = world.entitled
    yield from _about(target, "persons without an account in use", entitled - in_use)
    yield from _about(target, "accounts in use of nobody entitled", in_use - entitled)
    yield from _about(
        target, "persons with several accounts", {one for one, count in owners.items() if count > 1}
    )
    for field in _UNIQUE[target]:
        values = Counter(str(account.get(field)).casefold() for account in world.accounts[target])
        twice = {value for value, count in values.items() if count > 1}
        yield from _about(target, f"values of {field} given twice", twice)


def _in_use(world: World, target: str) -> list[Row]:
    """Leavers keep their accounts, disabled."""
    return [account for account in world.accounts[target] if account.get("enabled", True)]


def _owner(world: World, target: str, account: Row) -> str:
    """The employee number an account belongs to; Exchange knows it through IDaaS's user name."""
    if target == "idaas":
        return str(account.get("employeeNumber"))
    if target == "welink":
        return str(account.get("corpUserId"))
    sam = str(account.get("SAMAccountName")).casefold()
    found = [one for one in world.accounts["idaas"] if one["userName"].casefold() == sam]
    return str(found[0]["employeeNumber"]) if found else f"unknown SAM account {sam}"


def _about(target: str, what: str, who: set[str]) -> Iterator[str]:
    if who:
        some = ", ".join(sorted(who)[:_EXAMPLES]) + (" ..." if len(who) > _EXAMPLES else "")
        yield f"{target}: {len(who)} {what}: {some}"
