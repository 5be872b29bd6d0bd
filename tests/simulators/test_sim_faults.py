"""Each kind of misbehaviour, seen by a client."""

import time
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime

import pytest
import requests
from sim_wire import IDAAS, PERSONS

from simulators.client import SimulatorError

QUERY = {"tenant_id": "T1", "pageSize": 50}


def read(wire):
    return wire.post("hr", PERSONS, QUERY)


def users(wire):
    return wire.get("idaas", f"{IDAAS}/users")


@pytest.fixture(autouse=True)
def _tokens(wire):
    for name in ("hr", "idaas", "welink"):
        wire.authorization(name)


def test_latency_does_not_queue_requests_behind_each_other(sims, wire):
    sims.idaas.fault("latency", seconds=0.5, jitter=0.05)
    headers = wire.authorization("idaas")
    url = f"{sims.idaas.url}{IDAAS}/users"
    start = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: requests.get(url, headers=headers, timeout=9), range(8)))
    assert time.monotonic() - start > 0.4
    assert {answer.status_code for answer in answers} == {200}
    assert sims.idaas.state()["in_flight_max"] >= 4


def test_status_has_its_headers_and_body(sims, wire):
    sims.hr.fault("status", code=503, headers={"Retry-After": "7"}, times=1)
    answer = read(wire)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "7")
    assert answer.json()["status"] == 503
    assert read(wire).status_code == 200
    sims.hr.fault("status", code=500, body={"oops": 1})
    assert read(wire).json() == {"oops": 1}


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_too_many_requests_says_when_to_come_back(sims, wire, form):
    sims.welink.fault("too_many_requests", retry_after=30, form=form)
    answer = wire.get("welink", "/api/contact/v1/users")
    assert (answer.status_code, answer.json()["code"]) == (429, "429")
    wait = answer.headers["Retry-After"]
    seconds = float(wait) if form == "seconds" else parsedate_to_datetime(wait).timestamp()
    assert (seconds if form == "seconds" else seconds - time.time()) == pytest.approx(30, abs=15)


@pytest.mark.parametrize(("kind", "accounts"), [("drop_before", 0), ("drop_after", 1)])
def test_a_dropped_create_was_applied_or_not(sims, wire, kind, accounts):
    sims.idaas.fault(kind, path="onboarding", times=1)
    with pytest.raises(requests.ConnectionError):
        wire.onboard()
    assert len(sims.idaas.accounts()) == accounts
    assert wire.onboard()["code"] == (409 if accounts else 201)


@pytest.mark.parametrize(
    ("name", "path", "code"),
    [("hr", PERSONS, 500), ("idaas", f"{IDAAS}/user/onboarding", 500)],
)
def test_an_error_inside_http_200_wears_the_systems_own_style(sims, wire, name, path, code):
    getattr(sims, name).fault("ok_with_error", message="busy")
    answer = wire.post(name, path, {})
    body = answer.json()
    assert (answer.status_code, body.get("status", body.get("code"))) == (200, code)
    assert body["message"] == "busy"


def test_welink_and_exchange_errors_wear_their_own_style(sims, wire):
    sims.welink.fault("ok_with_error", code="47099")
    assert wire.create_in_welink() == {"code": "47099", "message": "simulated failure"}
    sims.exchange.fault("ok_with_error", message="busy")
    answer = wire.exchange("EnableMailbox", {"SAMAccountName": "a"}, {"SAMAccountName": "b"})
    assert answer == {
        "success": [],
        "fail": [
            {"SAMAccountName": "a", "Message": "busy"},
            {"SAMAccountName": "b", "Message": "busy"},
        ],
    }


def test_a_login_page_comes_with_http_200(sims, wire):
    sims.hr.fault("html")
    answer = read(wire)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/html")
    assert "Sign in" in answer.text


def test_a_redirect_leads_to_the_login_page(sims, wire):
    sims.hr.fault("redirect", times=1)
    answer = read(wire)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/login")
    sims.hr.fault("redirect", times=1)
    followed = wire.post("hr", PERSONS, QUERY, allow_redirects=True)
    assert "Sign in" in followed.text


def test_an_expired_token_must_be_replaced(sims, wire):
    for name in ("hr", "idaas"):
        getattr(sims, name).fault("expired_token", times=1)
        wire.tokens.pop(name)
        wire.authorization(name)
    assert (read(wire).status_code, users(wire).status_code) == (401, 401)
    assert read(wire).status_code == 401
    wire.tokens.clear()
    assert (read(wire).status_code, users(wire).status_code) == (200, 200)


def test_an_expired_token_is_a_plain_401_where_there_are_no_tokens(sims, wire):
    sims.exchange.fault("expired_token", times=1)
    assert wire.get("exchange", "/api/Exchange/mailboxes").status_code == 401
    assert wire.get("exchange", "/api/Exchange/mailboxes").status_code == 200


def test_a_truncated_body_is_not_json(sims, wire):
    whole = read(wire).content
    sims.hr.fault("truncated", times=1)
    answer = read(wire)
    assert answer.status_code == 200
    assert answer.content == whole[: len(whole) // 2]


def test_a_body_can_be_cut_off_on_the_wire(sims, wire):
    sims.hr.fault("truncated", cut="connection", times=1)
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        read(wire)


def test_a_slow_body_arrives_whole(sims, wire):
    whole = read(wire).content
    sims.hr.fault("slow_body", seconds=0.3, pieces=5)
    start = time.monotonic()
    assert read(wire).content == whole
    assert time.monotonic() - start >= 0.3


def test_skip_and_times_choose_the_requests(sims, wire):
    (rule,) = sims.idaas.fault("status", code=502, skip=2, times=2)
    assert [users(wire).status_code for _ in range(6)] == [200, 200, 502, 502, 200, 200]
    (after,) = sims.idaas.faults()
    assert (rule["fired"], after["matched"], after["fired"]) == (0, 6, 2)


def test_probability_is_the_same_lottery_every_time(sims, wire):
    drawn = []
    for _ in range(2):
        sims.idaas.heal()
        sims.idaas.fault("status", probability=0.5, seed=4)
        drawn.append([users(wire).status_code for _ in range(20)])
    assert drawn[0] == drawn[1]
    assert set(drawn[0]) == {200, 503}


def test_the_path_chooses_the_requests(sims, wire):
    sims.welink.fault("status", path="/user/create$")
    assert wire.get("welink", "/api/contact/v1/users").status_code == 200
    body = {"corpUserId": "1"}
    assert wire.post("welink", "/api/contact/v1/user/create", body).status_code == 503


def test_rules_work_together(sims, wire):
    sims.idaas.faults({"kind": "latency", "seconds": 0.2}, {"kind": "status", "code": 504})
    start = time.monotonic()
    assert users(wire).status_code == 504
    assert time.monotonic() - start >= 0.2


def test_the_controls_never_misbehave_and_can_heal(sims, wire):
    sims.idaas.fault("drop_before")
    assert sims.idaas.state()["accounts"] == 0
    sims.idaas.heal()
    assert sims.idaas.faults() == []
    assert users(wire).status_code == 200


@pytest.mark.parametrize(
    "rule",
    [
        {"kind": "earthquake"},
        {"kind": "page_loss"},
        {"kind": "latency", "minutes": 3},
        {"kind": "latency", "seconds": "long"},
        {"kind": "status", "path": "("},
        {"kind": "truncated", "cut": "wire"},
        {},
    ],
)
def test_a_rule_without_meaning_is_refused_whole(sims, rule):
    with pytest.raises(SimulatorError, match="HTTP 400"):
        sims.idaas.faults({"kind": "html"}, rule)
    assert sims.idaas.faults() == []


# Pages of HR


def test_a_lost_page_keeps_its_totals(sims, wire):
    sims.hr.fault("page_loss", skip=1, times=1)
    pages = [wire.page(n) for n in (1, 2, 3)]
    assert [len(page["data"]["result"]) for page in pages] == [100, 0, 50]
    assert {page["data"]["pageInfo"]["totalRows"] for page in pages} == {250}


def test_some_rows_of_a_page_can_be_lost(sims, wire):
    sims.hr.fault("page_loss", rows=3)
    assert len(wire.rows()) == 97


def test_totals_can_lie(sims, wire):
    sims.hr.fault("lying_totals", off_by=-5)
    assert wire.page()["data"]["pageInfo"]["totalRows"] == 245


def test_a_removed_row_shifts_the_pages_that_follow(sims, wire):
    everyone = [row["personId"] for row in wire.rows(size=250)]
    sims.hr.fault("shifting_pages", times=1)
    seen = [row["personId"] for n in (1, 2, 3) for row in wire.rows(n)]
    assert set(everyone) - set(seen) == {everyone[100]}
    assert sims.hr.state()["persons"] == 249


def test_an_inserted_row_repeats_one_on_the_next_page(sims, wire):
    sims.hr.fault("shifting_pages", mode="insert", times=1)
    seen = [row["personId"] for n in (1, 2, 3) for row in wire.rows(n)]
    assert len(seen) == 251
    assert len(set(seen)) == 250


def test_a_filtered_read_shifts_too(sims, wire):
    ids = [row["personId"] for row in wire.rows(size=250)]
    at = "2026-05-01 00:00:00"
    sims.hr.put_persons(*({"personId": key, "lastUpdateDate": at} for key in ids[100:110]))
    sims.hr.fault("shifting_pages", mode="insert", times=1)
    seen = [row["personId"] for n in (1, 2, 3) for row in wire.rows(n, size=4, startTime=at)]
    assert seen == ids[100:104] + ids[103:110]


def test_a_row_can_come_twice(sims, wire):
    sims.hr.fault("duplicate_rows", times=1)
    first = wire.rows()
    assert (len(first), first[0]) == (101, first[1])
    sims.hr.fault("duplicate_rows", replace=True, times=1)
    second = wire.rows()
    assert (len(second), second[0]) == (100, second[1])


def test_rows_can_be_bad_in_three_ways(sims, wire):
    sims.hr.fault("bad_rows", rows=3)
    date, keyless, mistyped = wire.rows()[:3]
    assert date["effectiveDate"] == "2025-13-45"
    assert "personId" not in keyless
    assert isinstance(mistyped["personDept"], str)
    assert not isinstance(mistyped["fullName"], str)


def test_a_change_can_come_from_the_future(sims, wire):
    sims.hr.fault("future_stamp", ahead=86_400 * 30)
    newest = max(row["lastUpdateDate"] for row in wire.rows())
    assert newest > time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(time.time() + 86_400 * 29))
