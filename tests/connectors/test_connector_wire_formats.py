"""What the presets send, to the byte, as the API documents have it (PREDECESSOR §2, §3)."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from accountsync.hr.http import HttpHrSource
from accountsync.hr.source import Ask
from accountsync.wire.api import Api
from accountsync.wire.auth import authenticator
from accountsync.wire.endpoint import Endpoint
from tests.connectors.recorder import Recorder, recording
from tests.connectors.subjects import Attributes, connected, endpoint, example

TOKEN = {"code": "201", "access_token": "t0ken", "expires_in": 86399}
ONBOARDING = "/api/idaas/idm-openapi/enterprise/E1/user/onboarding"
HR_PERSONS = "/api/meta/api/engine/idata/projects/P1/catalog/hr_person_info"


def _create(recorder: Recorder, name: str, person: Attributes) -> None:
    async def run() -> None:
        point = endpoint(name, recorder.url)
        async with connected(example().targets[name], point) as connector:
            await connector.create(person)

    asyncio.run(run())


def test_idaas() -> None:
    answers = {
        "/api/iam/auth/enterprise-token": (200, TOKEN),
        ONBOARDING: (200, {"code": 201, "data": {"userName": "z1", "userId": "7"}}),
    }
    person = {
        "employeeNumber": "00100001",
        "name": "张三",
        "englishName": "zhangsan",
        "userName": "z00100001",
        "userType": "employee",
        "email": "zhangsan@example.com",
        "mobile": "10000000001",
        "workArea": "北京",
        "ou": "/集团/研发",
    }
    with recording(answers) as recorder:
        _create(recorder, "idaas", person)
    token = recorder.to("/api/iam/auth/enterprise-token")
    assert (token.method, token.body) == (
        "POST",
        b'{"data":{"type":"token","attributes":{"account":"accountsync","secret":"idaas-secret"}}}',
    )
    assert "Authorization" not in token.headers
    call = recorder.to(ONBOARDING)
    assert call.headers["Authorization"] == "t0ken"
    assert call.headers["Content-Type"] == "application/json"
    assert (call.method, call.body.decode()) == (
        "POST",
        '{"userInfo":{"employeeNumber":"00100001","name":"张三","englishName":"zhangsan",'
        '"userName":"z00100001","userType":"employee","email":"zhangsan@example.com",'
        '"mobileCountryCode":"+86","mobile":"10000000001",'
        '"userExtends":{"workArea":"北京","ou":"/集团/研发"}}}',
    )


def test_welink() -> None:
    tickets, create = "/api/auth/v2/tickets", "/api/contact/v1/user/create"
    answers = {
        tickets: (200, {"code": "0", "access_token": "t0ken", "expires_in": 7200}),
        create: (200, {"code": "0", "message": "ok"}),
    }
    person = {
        "corpUserId": "00100001",
        "userNameCn": "张三",
        "mobileNumber": "10000000001",
        "corpDeptCodes": ["D1"],
        "personType": "10",
        "userEmail": "zhangsan@example.com",
        "employeeId": "00100001",
    }
    with recording(answers) as recorder:
        _create(recorder, "welink", person)
    token = recorder.to(tickets)
    assert token.body == b'{"client_id":"accountsync","client_secret":"welink-secret"}'
    call = recorder.to(create)
    assert call.headers["x-wlk-Authorization"] == "t0ken"
    assert "Authorization" not in call.headers
    assert (call.method, call.body.decode()) == (
        "POST",
        '{"corpUserId":"00100001","userNameCn":"张三","mobileNumber":"10000000001",'
        '"corpDeptCodes":["D1"],"personType":"10","userEmail":"zhangsan@example.com",'
        '"employeeId":"00100001"}',
    )


def test_exchange() -> None:
    path = "/api/Exchange/EnableMailbox"
    person = {"SAMAccountName": "z1", "Alias": "zhangsan", "EmailAddress": "zhangsan@example.com"}
    answer = {"jsonValue": {"success": [person], "fail": []}}
    with recording({path: (200, answer)}) as recorder:
        _create(recorder, "email", person)
    call = recorder.to(path)
    assert call.headers["Authorization"] == "exchange-secret"
    assert (call.method, call.body) == (
        "POST",
        b'{"EnableMailboxList":[{"SAMAccountName":"z1","Alias":"zhangsan"}]}',
    )


def test_what_a_person_does_not_have_is_not_sent() -> None:
    """Rather than null or an empty text, which targets take for a value."""
    path = "/api/Exchange/EnableMailbox"
    answer = {"jsonValue": {"success": [{}], "fail": []}}
    person = {"SAMAccountName": "z1", "Alias": None, "EmailAddress": "zhangsan@example.com"}
    with recording({path: (200, answer)}) as recorder:
        _create(recorder, "email", person)
    assert recorder.to(path).body == b'{"EnableMailboxList":[{"SAMAccountName":"z1"}]}'


def test_scim() -> None:
    """RFC 7644 §3.3."""
    person = {"externalId": "00100001", "userName": "z1", "displayName": "张三"}
    with recording({"/Users": (201, person | {"id": "7"})}) as recorder:
        _create(recorder, "scim", person)
    call = recorder.to("/Users")
    assert call.headers["Content-Type"] == call.headers["Accept"] == "application/scim+json"
    assert call.headers["Authorization"] == "Bearer scim-secret"
    assert (call.method, call.body.decode()) == (
        "POST",
        '{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"active":true,'
        '"externalId":"00100001","userName":"z1","displayName":"张三"}',
    )


@pytest.mark.parametrize(
    ("since", "start_time"),
    [
        (None, ""),
        (datetime(2026, 3, 1, 16, 30, 59, 999999, tzinfo=UTC), '"startTime":"2026-03-02 00:30:59"'),
    ],
)
def test_hieds(since: datetime | None, start_time: str) -> None:
    """PREDECESSOR §2: China's time without a zone, rounded down; a token without `Bearer`."""
    source = example().hr[0]
    page = {"status": 200, "data": {"result": [], "pageInfo": {"totalPages": 0, "totalRows": 0}}}
    answers = {"/api/iam/auth/token": (200, TOKEN), HR_PERSONS: (200, page)}

    async def read(url: str) -> list[Any]:
        extra = {"project": "P1", "enterprise": "E1", "tenant_id": "T1"}
        point = Endpoint(
            conn_id="hr_api", base_url=url, login="accountsync", password="hr-secret", extra=extra
        )
        auth = authenticator(source.auth, point)
        async with Api(point, auth, rate=source.rate, timeout_s=5) as api:
            return [page async for page in HttpHrSource(source, api).pages(Ask(since=since))]

    with recording(answers) as recorder:
        asyncio.run(read(recorder.url))
    token = recorder.to("/api/iam/auth/token")
    assert token.body == (
        b'{"data":{"type":"JWT-Token","attributes":{"method":"CREATE","account":"accountsync",'
        b'"secret":"hr-secret","project":"P1","enterprise":"E1"}}}'
    )
    call = recorder.to(HR_PERSONS)
    assert call.headers["Authorization"] == "t0ken"
    expected = ['"tenant_id":"T1"', '"pageSize":200', '"curPage":1', start_time]
    assert call.body.decode() == "{" + ",".join(filter(None, expected)) + "}"
