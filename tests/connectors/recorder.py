"""A server that writes down what it is sent, to the byte, and answers what it was told to."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.serving import serving

Answer = tuple[int, Any]


@dataclass(frozen=True, kw_only=True)
class Received:
    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(kw_only=True)
class Recorder:
    """`answers`: path → status and body, or what says so for a query; any other path is a 404."""

    answers: Mapping[str, Answer | Callable[[str], Answer]]
    url: str = ""
    requests: list[Received] = field(default_factory=list)

    def to(self, path: str) -> Received:
        """The one request to this path."""
        (found,) = [one for one in self.requests if one.target.partition("?")[0] == path]
        return found


@contextmanager
def recording(
    answers: Mapping[str, Answer | Callable[[str], Answer]],
    *,
    headers: Mapping[str, str] = {},
    refused: Mapping[str, int] = {},
) -> Iterator[Recorder]:
    """`refused`: method → the status that every request by it is answered with."""
    recorder = Recorder(answers=answers)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _handle(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            recorder.requests.append(
                Received(
                    method=self.command, target=self.path, headers=dict(self.headers), body=body
                )
            )
            path, _, query = self.path.partition("?")
            found = recorder.answers.get(path, (404, {}))
            status, answer = found(query) if callable(found) else found
            status = refused.get(self.command, status)
            raw = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(raw)))
            self.send_header("Content-Type", "application/json")
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(raw)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _handle

        def log_message(self, format: str, *args: Any) -> None:
            """It would print every request."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    with serving(server):
        recorder.url = f"http://127.0.0.1:{server.server_port}"
        yield recorder
