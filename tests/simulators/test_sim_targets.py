import pytest
from sim_wire import IDAAS, TOKEN_BODIES, TOKEN_PATHS, Wire

from simulators.run import NotRunningError, TargetOptions, running


def user_of(wire, **query):
    field, value = next(iter(query.items()))
    return wire.get("idaas", f"{IDAAS}/user?{field}={value}").json()["users"]


# Tokens


@pytest.mark.parametrize(("name", "refused"), [("idaas", "401"), ("welink", "41000")])
def test_wrong_credentials_are_refused_in_the_body(wire, name, refused):
    good = wire.send(name, "POST", TOKEN_PATHS[name], TOKEN_BODIES[name]).json()
    assert good["code"] == {"idaas": "201", "welink": "0"}[name]
    assert good["expires_in"] == {"idaas": 86_399, "welink": 7_200}[name]
    bad = wire.send(name, "POST", TOKEN_PATHS[name], {"client_id": "accountsync"})
    assert (bad.status_code, bad.json()["code"]) == (200, refused)


@pytest.mark.parametrize(
    ("name", "path", "header"),
    [
        ("idaas", f"{IDAAS}/users", "Authorization"),
        ("welink", "/api/contact/v1/users", "x-wlk-Authorization"),
        ("exchange", "/api/Exchange/mailboxes", "Authorization"),
    ],
)
def test_nothing_is_shown_without_a_known_token(wire, name, path, header):
    assert wire.get(name, path).status_code == 200
    for headers in ({}, {header: "guess"}):
        assert wire.send(name, "GET", path, None, headers).status_code == 401


def test_a_token_expires():
    with running(idaas=TargetOptions(token_seconds=-1.0)) as sims:
        wire = Wire(sims)
        with wire.session:
            answer = wire.get("idaas", f"{IDAAS}/users")
    assert (answer.status_code, answer.json()["message"]) == (401, "token is expired")


# IDaaS


def test_idaas_creates_and_finds_an_account(sims, wire):
    created = wire.onboard()
    assert created["code"] == 201
    user_id = created["data"].pop("userId")
    assert created["data"] == {"userName": "z00100001", "employeeNumber": "00100001"}
    assert sims.idaas.accounts()[0]["id"] == user_id
    for query in ({"employeeNumber": "00100001"}, {"userName": "Z00100001"}):
        (user,) = user_of(wire, **query)
        assert user["userId"] == user_id
        assert user["userExtends"] == {"workArea": "上海", "ou": "示例集团"}
    assert user_of(wire, employeeNumber="00999999") == []


@pytest.mark.parametrize("field", ["employeeNumber", "userName", "email"])
def test_idaas_refuses_what_is_taken(sims, wire, field):
    wire.onboard("00100001")
    taken = {
        "employeeNumber": "00100001",
        "userName": "Z00100001",
        "email": "z00100001@EXAMPLE.com",
    }
    answer = wire.onboard("00100002", **{field: taken[field]})
    assert answer["code"] == 409
    state = sims.idaas.state()
    assert (state["accounts"], state["duplicates_refused"]) == (1, 1)


@pytest.mark.parametrize("wrong", [{"userName": ""}, {"email": "nowhere"}, {"name": None}])
def test_idaas_refuses_incomplete_accounts(wire, wrong):
    assert wire.onboard(**wrong)["code"] == 400


def test_idaas_updates_disables_enables_and_deletes(sims, wire):
    user_id = wire.onboard()["data"]["userId"]
    path, headers = f"{IDAAS}/user/{user_id}", wire.authorization("idaas")
    body = {"userInfo": {"userName": "renamed", "userExtends": {"ou": "示例集团/研发中心"}}}
    user = wire.send("idaas", "PUT", path, body, headers).json()["data"]
    assert user["userExtends"] == {"workArea": "上海", "ou": "示例集团/研发中心"}
    assert user_of(wire, userName="z00100001") == []
    assert wire.post("idaas", f"{path}/disable").json()["data"]["enabled"] is False
    assert sims.idaas.state()["disabled"] == 1
    assert wire.post("idaas", f"{path}/enable").json()["data"]["enabled"] is True
    assert wire.send("idaas", "DELETE", path, None, headers).json()["code"] == 200
    assert wire.post("idaas", f"{path}/disable").json()["code"] == 404


def test_idaas_refuses_a_rename_to_a_taken_name(wire):
    wire.onboard("00100001")
    user_id = wire.onboard("00100002")["data"]["userId"]
    body = {"userInfo": {"userName": "z00100001"}}
    path, headers = f"{IDAAS}/user/{user_id}", wire.authorization("idaas")
    assert wire.send("idaas", "PUT", path, body, headers).json()["code"] == 409
    assert len(user_of(wire, userName="z00100002")) == 1


def test_idaas_lists_by_page(wire):
    for number in range(5):
        wire.onboard(f"0010000{number}")
    pages = [wire.get("idaas", f"{IDAAS}/users?page={n}&size=2").json() for n in (1, 2, 3, 4)]
    assert [len(page["users"]) for page in pages] == [2, 2, 1, 0]
    assert {page["total"] for page in pages} == {5}


# WeLink


def test_welink_creates_and_shows_an_account(wire):
    assert wire.welink("detail") == {"code": "47009", "message": "user not exist"}
    assert wire.create_in_welink()["code"] == "0"
    data = wire.welink("detail")["data"]
    assert (data["corpUserId"], data["corpDeptCodes"], data["status"]) == (
        "00100001",
        ["D1110"],
        "1",
    )


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"userEmail": "nowhere"}, "47014"),
        ({"mobileNumber": "call me"}, "47013"),
        ({"corpDeptCodes": ["D1110", "D9999"]}, "47012"),
        ({"userNameCn": ""}, "47001"),
    ],
)
def test_welink_refuses_what_it_cannot_understand(sims, wire, wrong, code):
    assert wire.create_in_welink(**wrong)["code"] == code
    assert sims.welink.accounts() == []


def test_welink_refuses_a_second_account(sims, wire):
    wire.create_in_welink()
    assert wire.create_in_welink()["code"] == "47010"
    assert sims.welink.state()["duplicates_refused"] == 1


def test_welink_updates_disables_enables_and_deletes(wire):
    wire.create_in_welink()
    assert wire.welink("update", corpDeptCodes=["IDM1120"])["code"] == "0"
    assert wire.welink("update", corpDeptCodes=["nowhere"])["code"] == "47012"
    assert wire.welink("disable")["code"] == "0"
    data = wire.welink("detail")["data"]
    assert (data["status"], data["corpDeptCodes"], data["userNameCn"]) == ("2", ["IDM1120"], "张三")
    assert wire.welink("enable")["code"] == "0"
    assert wire.welink("delete")["code"] == "0"
    assert wire.welink("disable")["code"] == "47009"


def test_welink_lists_by_page(wire):
    for number in range(3):
        wire.create_in_welink(f"0010000{number}")
    data = wire.get("welink", "/api/contact/v1/users?page=2&size=2").json()["data"]
    assert (len(data["users"]), data["total"]) == (1, 3)


# Exchange


def mailbox(name: str) -> dict:
    return {"SAMAccountName": name, "Alias": name}


def test_exchange_needs_the_directory_account_first(wire):
    (failed,) = wire.exchange("EnableMailbox", mailbox("z00100001"))["fail"]
    assert "not found in the directory" in failed["Message"]
    wire.onboard()
    (made,) = wire.exchange("EnableMailbox", mailbox("z00100001"))["success"]
    assert made["EmailAddress"] == "z00100001@example.com"


def test_exchange_answers_per_item(wire):
    wire.onboard()
    answer = wire.exchange("EnableMailbox", mailbox("z00100001"), mailbox("unknown"))
    assert [len(answer["success"]), len(answer["fail"])] == [1, 1]


def test_exchange_alone_knows_everybody_and_has_its_own_domain():
    with running(exchange=TargetOptions(email_domain="mail.example.com")) as sims:
        wire = Wire(sims)
        with wire.session:
            (made,) = wire.exchange("EnableMailbox", mailbox("anyone"))["success"]
        assert made["EmailAddress"] == "anyone@mail.example.com"
        with pytest.raises(NotRunningError, match="idaas"):
            _ = sims.idaas


def test_exchange_refuses_a_second_mailbox_and_a_taken_alias(sims, wire):
    wire.onboard("00100001")
    wire.onboard("00100002")
    wire.exchange("EnableMailbox", mailbox("z00100001"))
    again = wire.exchange("EnableMailbox", mailbox("z00100001"))
    other = wire.exchange("EnableMailbox", {"SAMAccountName": "z00100002", "Alias": "z00100001"})
    assert "already exists" in again["fail"][0]["Message"]
    assert "Alias" in other["fail"][0]["Message"]
    assert sims.exchange.state()["duplicates_refused"] == 2


def test_exchange_finds_changes_disables_wakes_and_removes(wire):
    wire.onboard()
    wire.exchange("EnableMailbox", mailbox("z00100001"))
    key = {"SAMAccountName": "z00100001"}
    found = wire.post("exchange", "/api/Exchange/GetMailbox", key).json()["jsonValue"]
    assert found["success"][0]["Enabled"] is True
    (changed,) = wire.exchange("SetMailbox", {**key, "Alias": "wang.wei"})["success"]
    assert changed["EmailAddress"] == "wang.wei@example.com"
    assert wire.exchange("DisableMailbox", key)["success"][0]["Enabled"] is False
    assert wire.exchange("EnableMailbox", mailbox("z00100001"))["success"][0]["Enabled"] is True
    wire.exchange("RemoveMailbox", key)
    assert wire.exchange("GetMailbox", key)["fail"][0]["Message"].endswith("not found")


def test_exchange_lists_by_page(sims, wire):
    sims.exchange.seed(*(mailbox(f"user{n}") for n in range(3)))
    answer = wire.get("exchange", "/api/Exchange/mailboxes?page=2&size=2").json()
    assert (len(answer["jsonValue"]["success"]), answer["total"]) == (1, 3)


# All targets


def test_accounts_can_be_there_before(sims, wire):
    sims.idaas.seed({"employeeNumber": "00100001", "userName": "old", "email": "old@example.com"})
    assert wire.onboard()["code"] == 409
    assert user_of(wire, employeeNumber="00100001")[0]["userName"] == "old"


def test_reset_forgets_accounts_and_counts(sims, wire):
    wire.onboard()
    sims.idaas.reset()
    state = sims.idaas.state()
    assert (state["accounts"], state["requests"], state["in_flight_max"]) == (0, {}, 0)
    assert wire.onboard()["code"] == 201


def test_accounts_survive_a_restart(tmp_path):
    options = {"idaas": TargetOptions(), "welink": TargetOptions(), "exchange": TargetOptions()}
    with running(**options, state=tmp_path) as sims:
        wire = Wire(sims)
        with wire.session:
            user_id = wire.onboard("00100001")["data"]["userId"]
            wire.post("idaas", f"{IDAAS}/user/{user_id}/disable")
            gone = wire.onboard("00100002")["data"]["userId"]
            headers = wire.authorization("idaas")
            wire.send("idaas", "DELETE", f"{IDAAS}/user/{gone}", None, headers)
            wire.create_in_welink()
            wire.exchange("EnableMailbox", mailbox("z00100001"))
        before = [sim.accounts() for sim in (sims.idaas, sims.welink, sims.exchange)]
    with running(**options, state=tmp_path) as sims:
        after = [sim.accounts() for sim in (sims.idaas, sims.welink, sims.exchange)]
        assert after == before
        assert [len(accounts) for accounts in after] == [1, 1, 1]
        wire = Wire(sims)
        with wire.session:
            assert wire.onboard("00100001")["code"] == 409
            assert wire.onboard("00100003")["data"]["userId"] not in (user_id, gone)
