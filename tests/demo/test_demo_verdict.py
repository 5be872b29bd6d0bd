"""The smoke test's judge must see every kind of wrong account."""

from collections.abc import Callable
from typing import Any

import pytest

from demo.verdict import World, problems

Accounts = dict[str, list[dict[str, Any]]]


def person(number: str, status: str = "1") -> dict[str, str]:
    return {"employeeNumber": number, "employeeStatus": status}


def accounts_of(number: str) -> dict[str, dict[str, Any]]:
    name = f"z{number}"
    return {
        "idaas": {"employeeNumber": number, "userName": name, "email": f"{name}@example.com"},
        "welink": {"corpUserId": number, "userEmail": f"{name}@example.com"},
        "exchange": {
            "SAMAccountName": name.upper(),
            "Alias": name,
            "EmailAddress": f"{name}@example.com",
        },
    }


def right() -> Accounts:
    made = [accounts_of("01"), accounts_of("02")]
    return {target: [one[target] for one in made] for target in ("idaas", "welink", "exchange")}


def judged(accounts: Accounts) -> list[str]:
    return problems(
        World(persons=[person("01"), person("02"), person("03", "2")], accounts=accounts)
    )


def test_exactly_the_entitled_persons_have_accounts() -> None:
    assert judged(right()) == []


def test_a_leaver_keeps_an_account_that_is_disabled() -> None:
    accounts = right()
    accounts["idaas"].append(accounts_of("03")["idaas"] | {"enabled": False})
    assert judged(accounts) == []


def disable(accounts: Accounts) -> None:
    accounts["welink"][0]["enabled"] = False


def drop(accounts: Accounts) -> None:
    accounts["welink"].pop()


def give_to_leaver(accounts: Accounts) -> None:
    accounts["idaas"].append(accounts_of("03")["idaas"])


def give_twice(accounts: Accounts) -> None:
    accounts["welink"].append({"corpUserId": "01", "userEmail": "other@example.com"})


def give_name_twice(accounts: Accounts) -> None:
    accounts["exchange"][0]["Alias"] = "Z02"


def give_to_nobody(accounts: Accounts) -> None:
    accounts["exchange"][0]["SAMAccountName"] = "ghost"


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (disable, ["welink: 1 persons without an account in use: 01"]),
        (drop, ["welink: 1 persons without an account in use: 02"]),
        (give_to_leaver, ["idaas: 1 accounts in use of nobody entitled: 03"]),
        (
            give_twice,
            [
                "welink: 1 persons with several accounts: 01",
                "welink: 1 values of corpUserId given twice: 01",
            ],
        ),
        (give_name_twice, ["exchange: 1 values of Alias given twice: z02"]),
        (
            give_to_nobody,
            [
                "exchange: 1 persons without an account in use: 01",
                "exchange: 1 accounts in use of nobody entitled: unknown SAM account ghost",
            ],
        ),
    ],
)
def test_a_wrong_world_is_seen(spoil: Callable[[Accounts], None], expected: list[str]) -> None:
    accounts = right()
    spoil(accounts)
    assert judged(accounts) == expected
