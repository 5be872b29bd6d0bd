"""A SCIM server that is not ours (scim2-server), kept over restarts: its own command forgets all.

python -m demo.scim PORT TOKEN FILE
"""

import contextlib
import itertools
import json
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIServer, make_server

from scim2_models import Resource, ScimProvider
from scim2_server.memory import InMemoryStorage
from scim2_server.testserver.application import BearerTokenApplication
from scim2_server.utils import load_default_provider

from .ports import HOST

_SAVE_SECONDS = 2.0


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 64  # the standard library's 5 resets some of 16 connections at once


def main(argv: Sequence[str]) -> int:
    """Serve until TERM or Ctrl-C; the file is read at the start and written every two seconds."""
    port, token, file = int(argv[0]), argv[1], Path(argv[2])
    provider, storage = load_default_provider(), InMemoryStorage()
    storage.versions = itertools.count(int(time.time()))  # no version is ever given twice
    storage.resources = _load(file, provider)
    app = BearerTokenApplication(storage, provider, bearer_tokens=[token])
    with make_server(HOST, port, app, server_class=_Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        _save_until_stopped(storage, file)
        server.shutdown()
    _save(storage, file)
    return 0


def _save_until_stopped(storage: InMemoryStorage, file: Path) -> None:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    saved = None
    while not stop.wait(_SAVE_SECONDS):
        state = _state(storage)
        if state != saved:
            _save(storage, file)
            saved = state


def _state(storage: InMemoryStorage) -> list[tuple[str | None, str | None]]:
    with storage.lock:
        return [(one.id, one.meta.version if one.meta else None) for one in storage.resources]


def _save(storage: InMemoryStorage, file: Path) -> None:
    with storage.lock:
        dumped = [resource.model_dump() for resource in storage.resources]
    half = file.with_name(file.name + ".half")
    half.write_text(json.dumps(dumped))
    half.replace(file)


def _load(file: Path, provider: ScimProvider) -> list[Resource[Any]]:
    with contextlib.suppress(FileNotFoundError):
        return [_resource(raw, provider) for raw in json.loads(file.read_text())]
    return []


def _resource(raw: dict[str, Any], provider: ScimProvider) -> Resource[Any]:
    kind = raw["meta"]["resourceType"]
    found = next(one for one in provider.resource_types if one.name == kind)
    model = provider.model_for(found)
    if model is None or not issubclass(model, Resource):
        raise ValueError(f"unknown kind of resource: {kind}")
    return model.model_validate(raw)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
