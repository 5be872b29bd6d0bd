"""The name registry: a name is given once, whoever asks at the same time (I8)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from accountsync.domain.naming import NameSet
from accountsync.store import names
from tests.store.people import add_persons

ALL = "SELECT person_id, namespace, folded, value, number, current FROM accountsync.name_registry"


def _wanted(person_id: int, alias: str, domain: str = "example.com") -> NameSet:
    return NameSet(person_id=person_id, bases={"alias": alias, "email": f"{alias}@{domain}"})


def _allocate(connection: Connection, *wanted: NameSet) -> dict[int, str]:
    """Person id → alias; the e-mail address must carry the same number."""
    given = names.allocate(connection, wanted)
    for values in given.values():
        assert values["email"].partition("@")[0].casefold() == values["alias"].casefold()
    return {person_id: values["alias"] for person_id, values in given.items()}


@pytest.fixture
def people(engine: Engine) -> list[int]:
    with engine.begin() as connection:
        return add_persons(connection, 300)


def _nobody_shares_a_name(engine: Engine) -> None:
    with engine.connect() as connection:
        rows = connection.execute(text(ALL)).all()
    owners = Counter((row.namespace, row.folded) for row in rows)
    assert set(owners.values()) <= {1}
    current = Counter((row.person_id, row.namespace) for row in rows if row.current)
    assert set(current.values()) <= {1}


def test_namesakes_are_numbered_in_the_order_given(engine: Engine, people: list[int]) -> None:
    with engine.begin() as connection:
        given = _allocate(connection, *(_wanted(p, "zhangwei") for p in people))
    assert [given[p] for p in people[:3]] == ["zhangwei", "zhangwei2", "zhangwei3"]
    assert len(set(given.values())) == 300


def test_a_name_is_kept_whatever_the_person_is_called_later(
    engine: Engine, people: list[int]
) -> None:
    with engine.begin() as connection:
        _allocate(connection, _wanted(people[0], "zhangwei"))
        assert _allocate(connection, _wanted(people[0], "lina")) == {people[0]: "zhangwei"}
        assert _allocate(connection, _wanted(people[1], "lina")) == {people[1]: "lina"}


@pytest.mark.parametrize("alias", ["ZhangWei", "ｚｈａｎｇｗｅｉ", "ZHANGWEI"])
def test_names_that_look_the_same_are_the_same(
    engine: Engine, people: list[int], alias: str
) -> None:
    """Case, width, Unicode composition."""
    with engine.begin() as connection:
        _allocate(connection, _wanted(people[0], "zhangwei"))
        given = _allocate(connection, _wanted(people[1], alias))
    assert given == {people[1]: f"{alias}2"}


def test_one_number_is_free_in_every_namespace(engine: Engine, people: list[int]) -> None:
    with engine.begin() as connection:
        names.allocate(connection, [NameSet(person_id=people[0], bases={"alias": "lina"})])
        names.allocate(
            connection, [NameSet(person_id=people[1], bases={"email": "lina2@example.com"})]
        )
        assert _allocate(connection, _wanted(people[2], "lina")) == {people[2]: "lina3"}


def test_the_number_of_one_base_may_be_the_whole_of_another(
    engine: Engine, people: list[int]
) -> None:
    """`li12` is the twelfth `li`, and the second `li1`, and somebody's own."""
    bases = ["li"] * 14 + ["li1"] * 14 + ["li12"] * 3
    wanted = [_wanted(p, base) for p, base in zip(people, bases, strict=False)]
    with engine.begin() as connection:
        for lot in (wanted[::3], wanted[1::3], wanted[2::3]):
            _allocate(connection, *lot)
    with engine.connect() as connection:
        owned = names.current(connection, people)
    assert len({values["alias"] for values in owned.values()}) == len(wanted)
    _nobody_shares_a_name(engine)


def _in_threads(engine: Engine, lots: Sequence[Sequence[NameSet]]) -> list[Exception | None]:
    """Every lot in a transaction of its own, all begun at the same time."""
    start = Barrier(len(lots))

    def plan(lot: Sequence[NameSet]) -> Exception | None:
        try:
            with engine.begin() as connection:
                start.wait()
                names.allocate(connection, lot)
        except DBAPIError as error:
            return error
        return None

    with ThreadPoolExecutor(len(lots)) as threads:
        return list(threads.map(plan, lots))


def test_planners_at_the_same_time_never_give_one_name_twice(
    engine: Engine, people: list[int]
) -> None:
    """Normally a lock keeps planners apart. Without it they wait for each other, name by name."""
    bases = [f"{name}{number}" for name in ("li", "wang") for number in ("", "1", "2")]
    wanted = [_wanted(p, bases[n % len(bases)]) for n, p in enumerate(people)]
    forwards, backwards = wanted[:150], wanted[:149:-1]
    assert _in_threads(engine, [forwards, backwards]) == [None, None]
    with engine.connect() as connection:
        owned = names.current(connection, people)
    assert len(owned) == 300
    _nobody_shares_a_name(engine)


def test_what_a_planner_that_fails_had_given_is_free_again(
    engine: Engine, people: list[int]
) -> None:
    with engine.connect() as connection:
        _allocate(connection, _wanted(people[0], "lina"))
        connection.rollback()
    with engine.begin() as connection:
        assert _allocate(connection, _wanted(people[1], "lina")) == {people[1]: "lina"}
