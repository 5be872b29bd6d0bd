"""The name registry: a name is given once, whoever asks at the same time (I8)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from hypothesis import HealthCheck, example, settings
from hypothesis import given as hypothesis_given
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from accountsync.domain.names.numbering import FirstNumbers, NameSet
from accountsync.store.names import name_registry, seen_names
from accountsync.store.names.seen_names import SeenName
from tests.store.people import add_persons

FEW = settings(
    max_examples=25, deadline=None, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip
ALL = "SELECT person_id, namespace, folded, value, number, current FROM accountsync.name_registry"


def _wanted(person_id: int, alias: str, domain: str = "example.com") -> NameSet:
    return NameSet(person_id=person_id, bases={"alias": alias, "email": f"{alias}@{domain}"})


def _allocate(connection: Connection, *wanted: NameSet) -> dict[int, str]:
    """Person id → alias; the e-mail address must carry the same number."""
    given = name_registry.allocate(connection, wanted)
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
        name_registry.allocate(connection, [NameSet(person_id=people[0], bases={"alias": "lina"})])
        name_registry.allocate(
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
        owned = name_registry.current(connection, people)
    assert len({values["alias"] for values in owned.values()}) == len(wanted)
    _nobody_shares_a_name(engine)


@FEW
@hypothesis_given(
    st.lists(st.sampled_from(["li", "li1", "li12", "admin", "wangna"]), min_size=1, max_size=24),
    st.integers(1, 8),
    st.sets(st.sampled_from(["li2", "li3", "wangna", "wangna@example.com", "admin2"])),
)
def test_what_earlier_lots_have_learned_changes_nobody_s_name(
    engine: Engine, people: list[int], bases: list[str], lot: int, reserved: set[str]
) -> None:
    """Not asking again what is taken is quicker, not different: the lowest free number (I8)."""
    wanted = [_wanted(p, base) for p, base in zip(people, bases, strict=False)]
    given = []
    for remembered in (True, False):
        with engine.connect() as connection:
            for value in reserved:
                space = "email" if "@" in value else "alias"
                seen_names.reserve(connection, namespace=space, value=value)
            first = FirstNumbers()
            found: name_registry.Names = {}
            for n in range(0, len(wanted), lot):
                known = first if remembered else FirstNumbers()
                some = wanted[n : n + lot]
                found |= name_registry.allocate(
                    connection, some, reserved=frozenset({"admin"}), first=known
                )
            given.append(found)
    assert given[0].keys() == given[1].keys()
    aliases = [sorted(values["alias"] for values in found.values()) for found in given]
    assert aliases[0] == aliases[1]


def test_a_lot_whose_names_were_taken_meanwhile_gets_others(
    engine: Engine, people: list[int]
) -> None:
    """What was learned is out of date: the registry decides, in the same call."""
    first = FirstNumbers()
    with engine.begin() as connection:
        name_registry.allocate(connection, [_wanted(people[0], "lina")], first=first)
        seen_names.reserve(connection, namespace="email", value="lina2@example.com")
        lot = [_wanted(people[1], "lina"), _wanted(people[2], "wangna")]
        given = name_registry.allocate(connection, lot, first=first)
    assert given[people[1]] == {"alias": "lina3", "email": "lina3@example.com"}
    assert given[people[2]]["alias"] == "wangna"
    _nobody_shares_a_name(engine)


def _in_threads(engine: Engine, lots: Sequence[Sequence[NameSet]]) -> list[Exception | None]:
    """Every lot in a transaction of its own, all begun at the same time."""
    start = Barrier(len(lots))

    def plan(lot: Sequence[NameSet]) -> Exception | None:
        try:
            with engine.begin() as connection:
                start.wait()
                name_registry.allocate(connection, lot)
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
        owned = name_registry.current(connection, people)
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


def test_the_database_itself_allows_one_name_in_use_a_person_and_namespace(
    engine: Engine, people: list[int]
) -> None:
    with engine.begin() as connection:
        _allocate(connection, _wanted(people[0], "lina"))
    statement = (
        "INSERT INTO accountsync.name_registry (namespace, folded, folded_base, value, number,"
        " person_id) VALUES ('alias', 'x', 'x', 'x', 1, :person)"
    )
    with pytest.raises(DBAPIError, match="uq_name_registry_current"), engine.begin() as connection:
        connection.execute(text(statement), {"person": people[0]})


def test_a_retired_name_stays_its_owners(engine: Engine, people: list[int]) -> None:
    with engine.begin() as connection:
        _allocate(connection, _wanted(people[0], "lina"))
        name_registry.retire(connection, [(people[0], "alias"), (people[0], "email")])
        assert _allocate(connection, _wanted(people[1], "lina")) == {people[1]: "lina2"}
        assert _allocate(connection, _wanted(people[0], "wangna")) == {people[0]: "wangna"}
        name_registry.retire(connection, [(people[0], "alias"), (people[0], "email")])
        assert _allocate(connection, _wanted(people[0], "lina")) == {people[0]: "lina"}
    _nobody_shares_a_name(engine)


def test_cut_names_meet_each_other_across_planners(engine: Engine, people: list[int]) -> None:
    def wanted(person: int, base: str) -> NameSet:
        return NameSet(person_id=person, bases={"sam": base}, max_lengths={"sam": 20})

    given: dict[int, dict[str, str]] = {}
    with engine.begin() as connection:
        for n, person in enumerate(people[:30]):
            long = "wangxiaomingxiaomingxiaoming"[: 18 + n % 9]
            given |= name_registry.allocate(connection, [wanted(person, long)])
    values = [one["sam"] for one in given.values()]
    assert len(set(values)) == 30
    assert max(map(len, values)) <= 20


def test_what_a_target_has_already_is_never_given_to_another_person(
    engine: Engine, people: list[int]
) -> None:
    """Accounts of people we know, and of people we do not know."""
    known, unknown = people[0], None
    with engine.begin() as connection:
        refused = seen_names.see(
            connection,
            [
                SeenName(person_id=known, namespace="alias", value="Lina", origin="okta"),
                SeenName(person_id=unknown, namespace="alias", value="lina2", origin="okta"),
                SeenName(person_id=known, namespace="alias", value="lina3", origin="okta"),
                SeenName(person_id=people[2], namespace="alias", value="LINA", origin="okta"),
            ],
        )
        assert [(name.person_id, name.value) for name in refused] == [(people[2], "LINA")]
        given = name_registry.allocate(
            connection, [NameSet(person_id=p, bases={"alias": "lina"}) for p in people[:3]]
        )
    assert given[known] == {"alias": "Lina"}
    assert given[people[1]] == {"alias": "lina4"}
    assert given[people[2]] == {"alias": "lina5"}


def test_a_name_that_was_nobodys_becomes_its_persons_when_seen_again(
    engine: Engine, people: list[int]
) -> None:
    def seen(person: int | None, origin: str = "okta") -> list[SeenName]:
        return [SeenName(person_id=person, namespace="alias", value="lina", origin=origin)]

    with engine.begin() as connection:
        assert seen_names.see(connection, seen(None)) == []
        assert seen_names.see(connection, seen(people[0])) == []
        assert seen_names.see(connection, seen(None)) == []
        assert seen_names.see(connection, seen(people[1])) == seen(people[1])
        assert name_registry.current(connection, people[:2]) == {people[0]: {"alias": "lina"}}


def test_what_an_operator_reserved_is_nobodys_whoever_shows_it(
    engine: Engine, people: list[int]
) -> None:
    with engine.begin() as connection:
        assert seen_names.reserve(connection, namespace="alias", value="Chairman")
        assert not seen_names.reserve(connection, namespace="alias", value="chairman")
        seen = SeenName(person_id=people[0], namespace="alias", value="chairman", origin="hr")
        assert seen_names.see(connection, [seen]) == [seen]
        given = name_registry.allocate(
            connection, [NameSet(person_id=people[1], bases={"alias": "chairman"})]
        )
    assert given == {people[1]: {"alias": "chairman2"}}


_STEPS = st.lists(
    st.tuples(
        st.sampled_from(["allocate", "see", "retire"]),
        st.integers(0, 7),
        st.sampled_from(["li", "li1", "li12", "Li", "ｌｉ", "wang", "wangxiaoming", "wangxiaohua"]),
    ),
    max_size=25,
)


@FEW
@example([("see", 0, "li"), ("allocate", 0, "li")])
@hypothesis_given(_STEPS)
def test_whatever_happens_no_name_is_ever_given_twice(
    engine: Engine, people: list[int], steps: list[tuple[str, int, str]]
) -> None:
    """I8, over any history of joining, importing and renaming."""
    owners: dict[tuple[str, str], int] = {}
    with engine.connect() as connection:
        for what, n, base in steps:
            _step(connection, what, people[n], base)
            rows = connection.execute(text(ALL)).all()
            for row in rows:
                owner = owners.setdefault((row.namespace, row.folded), row.person_id)
                assert owner == row.person_id
            assert len(rows) == len(owners)
        connection.rollback()


def _step(connection: Connection, what: str, person: int, base: str) -> None:
    if what == "allocate":
        wanted = NameSet(
            person_id=person,
            bases={"alias": base, "email": f"{base}@x.cn"},
            max_lengths={"alias": 8},
        )
        name_registry.allocate(connection, [wanted])
    elif what == "see":
        seen = SeenName(person_id=person, namespace="alias", value=base, origin="hr")
        seen_names.see(connection, [seen])
    else:
        name_registry.retire(connection, [(person, "alias")])
