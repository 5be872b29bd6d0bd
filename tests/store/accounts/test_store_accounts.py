"""Which facts of an account other accounts of the same person were made from."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Engine, text

from accountsync.domain.accounts.account import RemoteAccount
from accountsync.store.accounts import accounts
from accountsync.store.plans import planned_rules
from tests.store.people import add_account, add_persons, add_plan, add_task


def _found(
    identifier: str, remote_id: str | None, **attributes: str
) -> tuple[RemoteAccount, Mapping[str, str]]:
    return RemoteAccount(identifier=identifier, remote_id=remote_id, ours=True), attributes


def test_a_person_is_planned_again_where_a_fact_changed_that_another_account_was_made_from(
    engine: Engine,
) -> None:
    """I9: made again with another id, or renamed; what nobody reads changes nothing for others."""
    with engine.begin() as connection:
        same, renamed, anew, read, unread, first, alone, making = ids = add_persons(connection, 8)
        for person_id in ids:
            if person_id != first:
                add_account(
                    connection, person_id=person_id, target="idaas", remote_id=str(person_id)
                )
            if person_id not in (alone, making):
                add_account(connection, person_id=person_id, target="email")
        connection.execute(text('UPDATE accountsync.account SET attributes = \'{"room": "1"}\''))
        add_task(
            connection, plan_id=add_plan(connection), person_id=making, target="email",
            state="unknown",
        )  # fmt: skip
        reads = {"email": {"idaas": ["identifier", "remote_id", "room"]}}
        planned_rules.keep_order(connection, {"email": [], "idaas": []}, reads=reads)
        found = {
            same: _found(f"idaas-{same}", None, room="1"),
            renamed: _found("another", str(renamed), room="1"),
            anew: _found(f"idaas-{anew}", "another", room="1"),
            read: _found(f"idaas-{read}", str(read), room="2"),
            unread: _found(f"idaas-{unread}", str(unread), room="1", floor="2"),
            first: _found(f"idaas-{first}", "new", room="1"),
            alone: _found("another", "another", room="2"),
            making: _found("another", str(making), room="1"),
        }
        again = accounts.read_elsewhere(connection, target="idaas", found=found)
        assert again == {renamed, anew, read, first, making}
        assert accounts.read_elsewhere(connection, target="email", found=found) == frozenset()
