"""The calls that a client of the real systems would make, as PREDECESSOR §2 and §3 say."""

from __future__ import annotations

import requests

from simulators.run import Sims

PERSONS = "/api/meta/api/engine/idata/projects/P1/catalog/hr_person_info"
IDAAS = "/api/idaas/idm-openapi/enterprise/E1"


class Wire:
    """One HTTP session that gets tokens and sends them along."""

    def __init__(self, sims: Sims) -> None:
        self.sims = sims
        self.session = requests.Session()
        self.tokens: dict[str, str] = {}

    def send(self, name: str, method: str, path: str, body=None, headers=None, **options):
        url = self.sims.url(name) + path
        options = {"timeout": 20, "allow_redirects": False, **options}
        return self.session.request(method, url, json=body, headers=headers, **options)

    def post(self, name: str, path: str, body=None, **options):
        return self.send(name, "POST", path, body, self.authorization(name), **options)

    def get(self, name: str, path: str):
        return self.send(name, "GET", path, None, self.authorization(name))

    def authorization(self, name: str) -> dict[str, str]:
        if name == "exchange":
            return {"Authorization": "exchange-secret"}
        if name not in self.tokens:
            self.tokens[name] = self.token(name)
        header = "x-wlk-Authorization" if name == "welink" else "Authorization"
        return {header: self.tokens[name]}

    def token(self, name: str) -> str:
        return self.send(name, "POST", TOKEN_PATHS[name], TOKEN_BODIES[name]).json()["access_token"]

    def page(self, number: int = 1, *, size: int = 100, **query):
        body = {"tenant_id": "T1", "pageSize": size, "curPage": number, **query}
        return self.post("hr", PERSONS, body).json()

    def rows(self, number: int = 1, **query) -> list[dict]:
        return self.page(number, **query)["data"]["result"]

    def onboard(self, number: str = "00100001", **fields):
        info = {
            "employeeNumber": number,
            "name": "张三",
            "englishName": "zhang san",
            "userName": f"z{number}",
            "userType": "employee",
            "email": f"z{number}@example.com",
            "mobileCountryCode": "+86",
            "mobile": "10000000001",
            "userExtends": {"workArea": "上海", "ou": "示例集团"},
            **fields,
        }
        return self.post("idaas", f"{IDAAS}/user/onboarding", {"userInfo": info}).json()

    def welink(self, verb: str, number: str = "00100001", **fields):
        return self.post(
            "welink", f"/api/contact/v1/user/{verb}", {"corpUserId": number, **fields}
        ).json()

    def create_in_welink(self, number: str = "00100001", **fields):
        contact = {
            "userNameCn": "张三",
            "mobileNumber": "10000000001",
            "corpDeptCodes": ["D1110"],
            "personType": "10",
            "userEmail": "zhangsan@example.com",
            "employeeId": number,
        }
        return self.welink("create", number, **{**contact, **fields})

    def exchange(self, verb: str, *items: dict):
        body = {f"{verb}List": list(items)}
        return self.post("exchange", f"/api/Exchange/{verb}", body).json()["jsonValue"]


TOKEN_PATHS = {
    "hr": "/api/iam/auth/token",
    "idaas": "/api/iam/auth/enterprise-token",
    "welink": "/api/auth/v2/tickets",
}
TOKEN_BODIES = {
    "hr": {
        "data": {
            "type": "JWT-Token",
            "attributes": {
                "method": "CREATE",
                "account": "accountsync",
                "secret": "hr-secret",
                "project": "P1",
                "enterprise": "E1",
            },
        }
    },
    "idaas": {
        "data": {
            "type": "token",
            "attributes": {"account": "accountsync", "secret": "idaas-secret"},
        }
    },
    "welink": {"client_id": "accountsync", "client_secret": "welink-secret"},
}
