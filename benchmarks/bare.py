"""The physical reference of reading HR: fetch, COPY, one merge, and nothing else.

No proof of completeness, no rejects, no history, no watermark, no conversion of types.
"""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import orjson
import psycopg

SETUP = """
DROP SCHEMA IF EXISTS bare CASCADE;
CREATE SCHEMA bare;
CREATE TABLE bare.person (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, source_key text UNIQUE,
  employee_number text UNIQUE, full_name text, status text, person_type text,
  department_code text, hire_date text, leave_date text, changed text, attributes jsonb);
CREATE UNLOGGED TABLE bare.staged (
  source_key text, employee_number text, full_name text, status text, person_type text,
  department_code text, hire_date text, leave_date text, changed text, attributes jsonb);
"""
_COLUMNS = (
    "source_key, employee_number, full_name, status, person_type, department_code, hire_date,"
    " leave_date, changed, attributes"
)
_LIST = _COLUMNS.split(", ")
_MERGE = f"""
MERGE INTO bare.person p USING bare.staged s ON p.source_key = s.source_key
WHEN MATCHED AND ({", ".join(f"p.{c}" for c in _LIST[1:])})
  IS DISTINCT FROM ({", ".join(f"s.{c}" for c in _LIST[1:])})
THEN UPDATE SET {", ".join(f"{c} = s.{c}" for c in _LIST[1:])}
WHEN NOT MATCHED THEN INSERT ({_COLUMNS}) VALUES ({", ".join(f"s.{c}" for c in _LIST)})
"""


async def read(url: str, dsn: str, *, page_size: int, ahead: int, since: str | None = None) -> int:
    """Rows read and merged."""
    rows = 0
    with psycopg.connect(dsn) as connection, connection.cursor() as cursor:
        cursor.execute("TRUNCATE bare.staged")
        async with aiohttp.ClientSession() as session:
            token = await _token(session, url)
            with cursor.copy(f"COPY bare.staged ({_COLUMNS}) FROM STDIN") as copy:
                async for page in _pages(session, url, token, page_size, ahead, since):
                    rows += len(page)
                    await asyncio.to_thread(_write, copy, page)
        cursor.execute(_MERGE.encode())
    return rows


def _write(copy: psycopg.Copy, page: list[dict[str, Any]]) -> None:
    for row in page:
        department = row["personDept"][0]["department_code"] if row["personDept"] else None
        copy.write_row(
            (
                str(row["personId"]), row["employeeNumber"], row["fullName"],
                row["employeeStatus"], row["personType"], department, row["originalHireDate"],
                row["disableDate"], row["lastUpdateDate"], orjson.dumps(row).decode(),
            )
        )  # fmt: skip


async def _pages(
    session: aiohttp.ClientSession,
    url: str,
    token: str,
    page_size: int,
    ahead: int,
    since: str | None,
) -> Any:
    first = await _page(session, url, token, 1, page_size, since)
    yield first["result"]
    numbers = iter(range(2, first["pageInfo"]["totalPages"] + 1))
    under_way: list[asyncio.Task[Any]] = []
    while True:
        while len(under_way) < ahead and (number := next(numbers, None)):
            page = _page(session, url, token, number, page_size, since)
            under_way.append(asyncio.create_task(page))
        if not under_way:
            return
        yield (await under_way.pop(0))["result"]


async def _page(
    session: aiohttp.ClientSession,
    url: str,
    token: str,
    number: int,
    page_size: int,
    since: str | None,
) -> Any:
    body = {"tenant_id": "T1", "pageSize": page_size, "curPage": number}
    if since:
        body["startTime"] = since
    path = "/api/meta/api/engine/idata/projects/P1/catalog/hr_person_info"
    async with session.post(
        url + path, data=orjson.dumps(body), headers={"Authorization": token}
    ) as response:
        return orjson.loads(await response.read())["data"]


async def _token(session: aiohttp.ClientSession, url: str) -> str:
    attributes = {
        "method": "CREATE", "account": "accountsync", "secret": "hr-secret", "project": "P1",
        "enterprise": "E1",
    }  # fmt: skip
    body = {"data": {"type": "JWT-Token", "attributes": attributes}}
    async with session.post(url + "/api/iam/auth/token", json=body) as response:
        return str((await response.json(content_type=None))["access_token"])
