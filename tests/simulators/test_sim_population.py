"""Who the simulated persons are, and that they survive a restart."""

from collections import Counter

import pytest

from simulators.events import EventError, happen
from simulators.journal import Journal, JournalMismatchError
from simulators.names import name_of
from simulators.persons import draws_of, generated_row
from simulators.population import Population

AT = "2026-03-01 09:00:00"


def rows_of(people: Population) -> list[dict]:
    return [people.row(position) for position in range(len(people))]


def full_names(count: int, seed: int = 1) -> list[str]:
    return [name_of(draws_of(seed, index)).full for index in range(count)]


def test_equal_seeds_make_equal_persons_and_others_do_not():
    assert [generated_row(1, n) for n in range(50)] == [generated_row(1, n) for n in range(50)]
    assert generated_row(1, 3) != generated_row(2, 3)


def test_namesakes_are_as_frequent_as_in_a_real_company():
    shares = {1_000: [], 20_000: []}
    for count, found in shares.items():
        for seed in range(4):
            readings = Counter(name_of(draws_of(seed, n)).reading for n in range(count))
            del readings[""]
            found.append(sum(n for n in readings.values() if n > 1) / count)
    assert 0.015 < sum(shares[1_000]) / 4 < 0.045
    assert sum(shares[20_000]) / 4 > 0.15


@pytest.mark.parametrize("surname", ["单", "仇", "解", "曾", "查", "区", "欧阳", "万俟"])
def test_surnames_that_are_easily_misread_occur(surname):
    assert any(name.startswith(surname) for name in full_names(5_000))


def test_polyphonic_surnames_carry_their_reading_as_surnames():
    names = [name_of(draws_of(1, n)) for n in range(5_000)]
    readings = {name.full[0]: name.reading.split(" ")[0] for name in names if name.full}
    expected = {"单": "shan", "仇": "qiu", "解": "xie", "曾": "zeng", "查": "zha", "区": "ou"}
    assert {surname: readings[surname] for surname in expected} == expected


def test_other_scripts_and_mixed_names_occur():
    names = full_names(2_000)
    assert any("·" in name for name in names)
    assert any(name.isascii() and " " in name for name in names)
    assert any(not name.isascii() and name[-1].isascii() and name[-1].isalpha() for name in names)


def test_phone_numbers_belong_to_no_carrier():
    assert all(generated_row(1, n)["telephoneNumber1"].startswith("100") for n in range(100))


def test_the_same_events_hit_the_same_people():
    one, other = (Population(persons=100, seed=3) for _ in range(2))
    counts = {"join": 2, "move": 3, "leave": 2, "rehire": 1, "rename": 2, "swap_numbers": 1}
    assert happen(one, counts, at=AT) == happen(other, counts, at=AT)
    assert rows_of(one) == rows_of(other)


def test_a_repeated_event_hits_other_people():
    people = Population(persons=200, seed=3)
    assert happen(people, {"move": 5}, at=AT) != happen(people, {"move": 5}, at=AT)


def test_an_event_changes_what_it_says_and_nobody_else():
    people = Population(persons=100, seed=3)
    before = {row["personId"]: row for row in rows_of(people)}
    changed = happen(people, {"join": 1, "leave": 1, "rehire": 1, "swap_numbers": 1}, at=AT)
    after = {row["personId"]: row for row in rows_of(people)}
    touched = [row for key, row in after.items() if row != before.get(key)]
    assert sorted(row["employeeNumber"] for row in touched) == sorted(sum(changed.values(), []))
    assert all(row["lastUpdateDate"] == AT for row in touched)
    by_number = {row["employeeNumber"]: row for row in touched}
    leaver, rehired = by_number[changed["leave"][0]], by_number[changed["rehire"][0]]
    assert (leaver["employeeStatus"], leaver["disableDate"]) == ("2", "2026-03-01")
    assert (rehired["employeeStatus"], rehired["disableDate"]) == ("1", None)


def test_swapped_numbers_are_exchanged_between_two_persons():
    people = Population(persons=100, seed=3)
    before = {row["employeeNumber"]: row["personId"] for row in rows_of(people)}
    one, other = happen(people, {"swap_numbers": 1}, at=AT)["swap_numbers"]
    after = {row["employeeNumber"]: row["personId"] for row in rows_of(people)}
    assert (after[one], after[other]) == (before[other], before[one])


def test_dates_can_lie_ahead():
    people = Population(persons=100, seed=3)
    changed = happen(people, {"join": 1, "leave": 1}, at=AT, in_days=10)
    by_number = {row["employeeNumber"]: row for row in rows_of(people)}
    assert by_number[changed["join"][0]]["hireDate"] == "2026-03-11"
    leaver = by_number[changed["leave"][0]]
    assert (leaver["employeeStatus"], leaver["disableDate"]) == ("1", "2026-03-11")


def test_an_event_that_cannot_happen_changes_nothing():
    people = Population(persons=10, seed=3)
    before = rows_of(people)
    with pytest.raises(EventError, match="nobody is left"):
        happen(people, {"join": 5, "leave": 100}, at=AT)
    assert rows_of(people) == before
    assert happen(people, {"join": 1}, at=AT)["join"] == ["00100011"]


@pytest.mark.parametrize("counts", [{"retire": 1}, {"join": -1}, {"join": "2"}])
def test_an_unknown_event_or_count_is_refused(counts):
    with pytest.raises(EventError, match="not an event"):
        happen(Population(persons=10, seed=3), counts, at=AT)


def test_changes_survive_a_restart(tmp_path):
    people = Population(persons=50, seed=3, state=tmp_path)
    happen(people, {"join": 2, "leave": 2, "move": 2}, at=AT)
    people.change(vanish=[people.person_ids()[0]])
    expected, sequence = rows_of(people), people.sequence
    people.close()
    again = Population(persons=50, seed=3, state=tmp_path)
    assert rows_of(again) == expected
    assert again.sequence == sequence
    assert happen(again, {"join": 1}, at=AT)["join"] == ["00100053"]
    again.close()


def test_a_torn_last_line_is_dropped_and_written_over(tmp_path):
    people = Population(persons=50, seed=3, state=tmp_path)
    happen(people, {"move": 2}, at=AT)
    expected = rows_of(people)
    happen(people, {"leave": 2}, at=AT)
    people.close()
    journal = tmp_path / "hr.jsonl"
    journal.write_bytes(journal.read_bytes()[:-40])
    torn = Population(persons=50, seed=3, state=tmp_path)
    assert rows_of(torn) == expected
    happen(torn, {"rename": 1}, at=AT)
    expected = rows_of(torn)
    torn.close()
    again = Population(persons=50, seed=3, state=tmp_path)
    assert rows_of(again) == expected
    again.close()


def test_a_journal_of_other_options_is_refused(tmp_path):
    Population(persons=50, seed=3, state=tmp_path).close()
    with pytest.raises(JournalMismatchError, match="'persons': 50"):
        Population(persons=60, seed=3, state=tmp_path)


def test_reset_forgets_on_disk_too(tmp_path):
    people = Population(persons=20, seed=3, state=tmp_path)
    expected = rows_of(people)
    happen(people, {"move": 2}, at=AT)
    people.reset()
    people.close()
    again = Population(persons=20, seed=3, state=tmp_path)
    assert rows_of(again) == expected
    again.close()


def test_a_journal_without_a_path_forgets():
    journal = Journal(None, {"journal": "none"})
    journal.write({"n": 1})
    journal.clear()
    journal.close()
    assert list(journal.replay()) == []
