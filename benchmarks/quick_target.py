"""A target that costs next to nothing: every creation succeeds, a given time after it came.

Of IDaaS, WeLink and Exchange it speaks what a run of creations needs. It remembers no account, so
that what is measured is who calls it. `GET /_sim/state` tells how many creations there were.

    python -m benchmarks.quick_target PORT MILLISECONDS
"""

from __future__ import annotations

import asyncio
import sys

_CREATED = {
    b"/user/onboarding": b'{"code":201,"data":{"userId":"%d"}}',
    b"/user/create": b'{"code":"0"}',
    b"/EnableMailbox": b'{"jsonValue":{"success":[{"n":%d}],"fail":[]}}',
}
_TOKENS = {
    b"/enterprise-token": b'{"code":"201","access_token":"t","expires_in":86400}',
    b"/tickets": b'{"code":"0","access_token":"t","expires_in":86400}',
}
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"


class QuickTarget(asyncio.Protocol):
    """One connection; requests come one after another."""

    delay_s = 0.0
    created = 0

    def __init__(self) -> None:
        self._buffer = b""
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, end, body = self._buffer.partition(b"\r\n\r\n")
        if not end or len(body) < _length(head):
            return
        self._buffer = b""
        path = head.split(b" ", 2)[1].partition(b"?")[0]
        delay, answer = self._answer(path)
        whole = _HEAD % (len(answer), answer)
        if delay:
            self._loop.call_later(delay, self._transport.write, whole)
        else:
            self._transport.write(whole)

    def _answer(self, path: bytes) -> tuple[float, bytes]:
        kind = type(self)
        suffix = path[path.rfind(b"/") :]
        if suffix in _TOKENS:
            return 0, _TOKENS[suffix]
        for ending, answer in _CREATED.items():
            if path.endswith(ending):
                kind.created += 1
                return kind.delay_s, answer % kind.created if b"%d" in answer else answer
        return 0, b'{"created":%d}' % kind.created


def _length(head: bytes) -> int:
    _, named, after = head.lower().partition(b"content-length:")
    return int(after.partition(b"\r\n")[0]) if named else 0


async def serve(port: int, delay_s: float) -> None:
    QuickTarget.delay_s = delay_s
    loop = asyncio.get_running_loop()
    server = await loop.create_server(QuickTarget, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2]) / 1000))
