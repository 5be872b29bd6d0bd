"""The predecessor's way: one row after the other through the ORM, each with its own commit."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any
from urllib.request import Request, urlopen

from sqlalchemy import Text, create_engine, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from accountsync.domain.names.readings import read
from accountsync.store.engine import make_engine
from accountsync.store.plans import plans
from accountsync.store.tables.accounts import AccountRow, NameRow, PersonTypeMappingRow
from accountsync.store.tables.persons import PersonRow
from accountsync.store.tables.tasks import AccountTaskRow

PAGE_SIZE = 20


class _Base(DeclarativeBase):
    pass


class _Person(_Base):
    __tablename__ = "row_by_row_person"

    source_key: Mapped[str] = mapped_column(Text, primary_key=True)
    employee_number: Mapped[str] = mapped_column(Text, unique=True)
    full_name: Mapped[str] = mapped_column(Text)
    status: Mapped[str | None] = mapped_column(Text)
    attributes: Mapped[dict[str, Any]] = mapped_column(JSONB)


def load(url: str, dsn: str, *, limit: int, pause_s: float) -> float:
    """Seconds for `limit` rows of HR in pages of 20, with a pause after each."""
    engine = create_engine(dsn.replace("postgresql://", "postgresql+psycopg://"))
    _Base.metadata.create_all(engine)
    token = _post(
        url + "/api/iam/auth/token",
        {
            "data": {
                "type": "JWT-Token",
                "attributes": {
                    "method": "CREATE", "account": "accountsync", "secret": "hr-secret",
                    "project": "P1", "enterprise": "E1",
                },
            }
        },
    )["access_token"]  # fmt: skip
    begin = time.perf_counter()
    path = url + "/api/meta/api/engine/idata/projects/P1/catalog/hr_person_info"
    with Session(engine) as session:
        for page in range(1, limit // PAGE_SIZE + 1):
            body = {"tenant_id": "T1", "pageSize": PAGE_SIZE, "curPage": page}
            for row in _post(path, body, token)["data"]["result"]:
                session.merge(_person(row))
                session.commit()
            time.sleep(pause_s)
    return time.perf_counter() - begin


def _person(row: dict[str, Any]) -> _Person:
    return _Person(
        source_key=str(row["personId"]),
        employee_number=row["employeeNumber"],
        full_name=row["fullName"],
        status=row["employeeStatus"],
        attributes=row,
    )


def _post(url: str, body: dict[str, Any], token: str = "") -> Any:
    headers = {"Content-Type": "application/json", "Authorization": token}
    request = Request(url, json.dumps(body).encode(), headers)  # noqa: S310 (loopback)
    with urlopen(request) as response:  # noqa: S310
        return json.load(response)


def plan(dsn: str, *, limit: int) -> float:
    """Seconds for the creates of `limit` persons: look what there is, find free names, add."""
    store = make_engine(dsn)
    read("王伟")  # loads the dictionary
    with Session(store) as session:
        plan_id = plans.start(session.connection(), airflow_run_id=None, now=datetime.now(UTC))
        session.commit()
        numbers = list(session.scalars(select(PersonRow.id).order_by(PersonRow.id).limit(limit)))
        begin = time.perf_counter()
        for number in numbers:
            _plan_one(session, session.get_one(PersonRow, number), plan_id)
            session.commit()
    return time.perf_counter() - begin


def _plan_one(session: Session, person: PersonRow, plan_id: int) -> None:
    base, number = "".join(read(person.full_name).syllables), 1
    mappings = session.get_one(PersonTypeMappingRow, person.person_type)
    while True:
        alias = f"{base}{number if number > 1 else ''}"
        names = {"mail_alias": alias, "email": f"{alias}@{mappings.email_domain}"}
        names["username"] = f"{base[0]}{person.employee_number}"
        if not any(_is_taken(session, space, value) for space, value in names.items()):
            break
        number += 1
    for space, value in names.items():
        session.add(NameRow(namespace=space, folded=value, folded_base=base, value=value,
                            number=number, person_id=person.id))  # fmt: skip
    for target in ("idaas", "welink", "email"):
        ours = (AccountTaskRow.person_id == person.id, AccountTaskRow.system == target)
        has = (AccountRow.person_id == person.id, AccountRow.system == target)
        if not session.scalar(select(AccountRow).where(*has)) and not session.scalar(
            select(AccountTaskRow).where(*ours)
        ):
            session.add(
                AccountTaskRow(
                    plan_id=plan_id,
                    person_id=person.id,
                    system=target,
                    operation="create",
                    desired={"number": person.employee_number, "name": person.full_name, **names},
                    state="ready",
                )
            )
    person.planned_revision = person.revision


def _is_taken(session: Session, space: str, value: str) -> bool:
    query = select(NameRow.id).where(NameRow.namespace == space, NameRow.folded == value)
    return session.scalar(query) is not None
