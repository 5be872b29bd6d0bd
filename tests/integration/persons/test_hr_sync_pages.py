"""Every way from page to page, and the way through a proxy: from the YAML to the store."""

from __future__ import annotations

import json
import select
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from urllib.request import ProxyHandler, Request, build_opener

import pytest
from sqlalchemy import Engine, text

from accountsync import connections, settings, wiring
from accountsync.errors import IncompleteReadError
from tests.conftest import DATABASE_VARIABLE
from tests.connectors import certificates
from tests.serving import serving

pytestmark = pytest.mark.filterwarnings("ignore:GitWildMatchPattern")  # Airflow's own

PEOPLE = [{"id": n, "number": f"E{n}", "name": f"Person {n}"} for n in range(1, 8)]
SIZE = 3
QUERY = {"offset": "{{ offset }}", "limit": "{{ page_size }}"}


class _Hr(BaseHTTPRequestHandler):
    """Seven persons, three a page, and told in every way where the next ones are."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        asked = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(asked.query).items()}
        everybody = asked.path == "/everybody"
        begin = int(query.get("offset", 0))
        rows = PEOPLE if everybody else PEOPLE[begin : begin + SIZE]
        body: dict[str, Any] = {"rows": rows, "total": len(PEOPLE)}
        headers = {}
        if not everybody and begin + SIZE < len(PEOPLE):
            body["next"] = f"/persons?offset={begin + SIZE}&said=%E4%B8%8B"
            headers["Link"] = f'</persons>; rel="first", <{body["next"]}>; rel="next"'
        self._answer(json.dumps(body).encode(), headers)

    def _answer(self, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(200)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


class _Proxy(_Hr):
    """Forwards what is asked for by its whole address, and tunnels what is encrypted."""

    passed: list[str]

    def do_GET(self) -> None:
        self.passed.append(f"GET {urlsplit(self.path).netloc}")
        direct = build_opener(ProxyHandler({}))
        with direct.open(Request(self.path)) as answer:  # noqa: S310 (loopback)
            self._answer(answer.read(), {})

    def do_CONNECT(self) -> None:
        self.passed.append(f"CONNECT {self.path}")
        host, port = self.path.split(":")
        with socket.create_connection((host, int(port))) as server:
            self.send_response(200)
            self.end_headers()
            ends = {self.connection: server, server: self.connection}
            while ready := select.select(list(ends), [], [], 10)[0]:
                for end in ready:
                    if not (data := end.recv(65536)):
                        self.close_connection = True
                        return
                    ends[end].sendall(data)


@contextmanager
def _serving(kind: type[_Hr], tls: ssl.SSLContext | None = None) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    with serving(server):
        yield f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}"


@pytest.fixture
def store(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    url = engine.url.render_as_string(hide_password=False)
    monkeypatch.setenv(DATABASE_VARIABLE, url)
    yield engine
    connections._engine(url).dispose()


def _connect(monkeypatch: pytest.MonkeyPatch, url: str, **extra: Any) -> None:
    connection = {"conn_type": "http", "host": url, "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_PAGES", json.dumps(connection))


def _read(paging: dict[str, Any], path: str = "/persons") -> int:
    query = QUERY if paging["kind"] == "offset" else {}
    source = {
        "name": "pages", "kind": "http", "conn_id": "pages", "page_size": SIZE, "paging": paging,
        "request": {"path": path, "query": query}, "records": "body.rows",
        "fields": {"source_key": "id", "employee_number": "number", "full_name": "name"},
    }  # fmt: skip
    parsed = settings.parse({"hr": [source], "targets": {}}, origin="test")
    return wiring.sync_source(parsed, "pages").inserted


def _numbers(store: Engine) -> set[str]:
    with store.connect() as connection:
        return set(connection.scalars(text("SELECT employee_number FROM accountsync.person")))


WAYS: dict[str, tuple[dict[str, Any], str]] = {
    "offset and limit": ({"kind": "offset", "total_rows": "body.total"}, "/persons"),
    "a Link header": ({"kind": "link", "total_rows": "body.total"}, "/persons"),
    "an address in the body": ({"kind": "next_url", "next": "body.next"}, "/persons"),
    "one page": ({"kind": "none", "total_rows": "body.total"}, "/everybody"),
}


@pytest.mark.parametrize(("paging", "path"), WAYS.values(), ids=WAYS)
def test_everybody_comes_by_every_way_from_page_to_page(
    store: Engine, monkeypatch: pytest.MonkeyPatch, paging: dict[str, Any], path: str
) -> None:
    with _serving(_Hr) as url:
        _connect(monkeypatch, url)
        assert _read(paging, path) == len(PEOPLE)
    assert _numbers(store) == {person["number"] for person in PEOPLE}


def test_one_page_that_is_not_everybody_changes_nothing(
    store: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I2: the API has pages, and the configuration says it has none."""
    with _serving(_Hr) as url:
        _connect(monkeypatch, url)
        with pytest.raises(IncompleteReadError, match="7 rows declared, 3 received"):
            _read({"kind": "none", "total_rows": "body.total"})
    assert _numbers(store) == set()


@pytest.mark.parametrize("encrypted", [False, True], ids=["http", "https"])
def test_hr_is_reached_through_the_proxy_of_its_connection(
    store: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, encrypted: bool
) -> None:
    files = certificates.made_for("localhost", tmp_path)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH) if encrypted else None
    if tls:
        tls.load_cert_chain(files.certificate, files.key)
    proxy = type("Proxy", (_Proxy,), {"passed": []})
    with _serving(_Hr, tls) as url, _serving(proxy) as by:
        _connect(monkeypatch, url, proxy=by, verify=str(files.ca) if encrypted else True)
        assert _read(*WAYS["offset and limit"]) == len(PEOPLE)
    place = urlsplit(url).netloc
    assert set(proxy.passed) == {f"{'CONNECT' if encrypted else 'GET'} {place}"}
    assert len(_numbers(store)) == len(PEOPLE)
