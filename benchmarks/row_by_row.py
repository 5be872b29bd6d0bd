"""The predecessor's way: page after page of 20, one ORM merge and one commit a row."""

from __future__ import annotations

import json
import time
from typing import Any
from urllib.request import Request, urlopen

from sqlalchemy import Text, create_engine
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

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
    """Seconds for `limit` rows, with a pause after each page."""
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
