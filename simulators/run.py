"""Start simulators: `running` in a thread for tests and benchmarks, `serving` in an asyncio loop.

    with running(hr=HrOptions(persons=200), idaas=TargetOptions()) as sims:
        sims.hr.events(join=3)
        requests.post(f"{sims.idaas.url}/…")

Only what is asked for runs; port 0 means any free port. Everything listens on 127.0.0.1 only.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

from aiohttp import web

from .accounts import AccountBook
from .client import HrClient, MailClient, TargetClient
from .exchange import EXCHANGE_UNIQUE, make_exchange
from .hr import make_hr
from .idaas import IDAAS_UNIQUE, knows_user_name, make_idaas
from .mail import Mailbox, make_mail
from .population import Population
from .staff import make_staff
from .welink import WELINK_UNIQUE, make_welink

HOST = "127.0.0.1"
_SHUTDOWN_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class HrOptions:
    """`warm` serialises all rows before the start, so that the first read is as fast as others."""

    persons: int = 1_000
    seed: int = 1
    port: int = 0
    token_seconds: float = 7_200
    warm: bool = False


@dataclass(frozen=True, kw_only=True)
class TargetOptions:
    """`token_seconds` None: as long as the real system's. `email_domain` is Exchange's only."""

    port: int = 0
    token_seconds: float | None = None
    email_domain: str = "example.com"


@dataclass(frozen=True, kw_only=True)
class MailOptions:
    port: int = 0
    smtp_port: int = 0


@dataclass(frozen=True, kw_only=True)
class Options:
    """Which simulators to run; None leaves one out. `state` is where journals are kept; `staff`
    keeps none."""

    hr: HrOptions | None = None
    staff: HrOptions | None = None
    idaas: TargetOptions | None = None
    welink: TargetOptions | None = None
    exchange: TargetOptions | None = None
    mail: MailOptions | None = None
    state: Path | None = None


class PortBusyError(Exception):
    """Another process listens on the port of `server`: hr, idaas, …, mail or smtp."""

    def __init__(self, server: str, port: int) -> None:
        super().__init__(f"port {port} of {server} is busy")
        self.server = server
        self.port = port


class NotRunningError(Exception):
    """This simulator was not asked for."""


class Sims:
    """The running simulators; using one that was not asked for raises NotRunningError."""

    def __init__(self) -> None:
        self.ports: dict[str, int] = {}

    @property
    def hr(self) -> HrClient:
        return HrClient(self.url("hr"))

    @property
    def staff(self) -> HrClient:
        return HrClient(self.url("staff"))

    @property
    def idaas(self) -> TargetClient:
        return TargetClient(self.url("idaas"))

    @property
    def welink(self) -> TargetClient:
        return TargetClient(self.url("welink"))

    @property
    def exchange(self) -> TargetClient:
        return TargetClient(self.url("exchange"))

    @property
    def mail(self) -> MailClient:
        return MailClient(self.url("mail"), self.ports["smtp"])

    def url(self, name: str) -> str:
        if name not in self.ports:
            raise NotRunningError(f"{name} was not asked for")
        return f"http://{HOST}:{self.ports[name]}"


@contextmanager
def running(
    *,
    hr: HrOptions | None = None,
    staff: HrOptions | None = None,
    idaas: TargetOptions | None = None,
    welink: TargetOptions | None = None,
    exchange: TargetOptions | None = None,
    mail: MailOptions | None = None,
    state: Path | None = None,
) -> Iterator[Sims]:
    """Run simulators in a background thread until the block ends."""
    options = Options(
        hr=hr,
        staff=staff,
        idaas=idaas,
        welink=welink,
        exchange=exchange,
        mail=mail,
        state=state,
    )
    started: Future[tuple[Sims, Callable[[], object]]] = Future()
    thread = Thread(target=asyncio.run, args=(_serve_in_thread(options, started),), daemon=True)
    thread.start()
    try:
        sims, stop = started.result()
    except BaseException:
        thread.join()
        raise
    try:
        yield sims
    finally:
        stop()
        thread.join()


async def _serve_in_thread(
    options: Options, started: Future[tuple[Sims, Callable[[], object]]]
) -> None:
    """Serve until the function given to `started` is called; failing to start is given to it."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    try:
        async with serving(options) as sims:
            started.set_result((sims, lambda: loop.call_soon_threadsafe(stop.set)))
            await stop.wait()
    except BaseException as error:
        if started.done():
            raise
        started.set_exception(error)


@asynccontextmanager
async def serving(options: Options) -> AsyncIterator[Sims]:
    """Run simulators in the present loop until the block ends; raises PortBusyError."""
    async with AsyncExitStack() as stack:
        sims = Sims()
        for name, app, port in _apps(options):
            sims.ports[name] = await _listen(stack, name, app, port)
        if options.mail is not None:
            mailbox = Mailbox()
            app = make_mail(mailbox)
            sims.ports["mail"] = await _listen(stack, "mail", app, options.mail.port)
            sims.ports["smtp"] = await _listen_smtp(stack, mailbox, options.mail.smtp_port)
        yield sims


def _apps(options: Options) -> Iterator[tuple[str, web.Application, int]]:
    """Build the applications asked for; Exchange's directory is IDaaS when both run."""
    idaas_accounts: AccountBook | None = None
    if (hr := options.hr) is not None:
        yield "hr", _hr_app(hr, options.state), hr.port
    if (staff := options.staff) is not None:
        people = Population(persons=staff.persons, seed=staff.seed)
        yield "staff", make_staff(people, token_seconds=staff.token_seconds), staff.port
    if (idaas := options.idaas) is not None:
        idaas_accounts = AccountBook("idaas", unique=IDAAS_UNIQUE, state=options.state)
        seconds = idaas.token_seconds or 86_399
        yield "idaas", make_idaas(idaas_accounts, token_seconds=seconds), idaas.port
    if (welink := options.welink) is not None:
        accounts = AccountBook("welink", unique=WELINK_UNIQUE, state=options.state)
        seconds = welink.token_seconds or 7_200
        yield "welink", make_welink(accounts, token_seconds=seconds), welink.port
    if (exchange := options.exchange) is not None:
        accounts = AccountBook("exchange", unique=EXCHANGE_UNIQUE, state=options.state)
        knows = knows_user_name(idaas_accounts) if idaas_accounts is not None else _knows_all
        domain = exchange.email_domain
        app = make_exchange(accounts, email_domain=domain, knows_sam_account=knows)
        yield "exchange", app, exchange.port


def _hr_app(options: HrOptions, state: Path | None) -> web.Application:
    people = Population(persons=options.persons, seed=options.seed, state=state)
    if options.warm:
        people.warm()
    return make_hr(people, token_seconds=options.token_seconds)


def _knows_all(_: str) -> bool:
    return True


async def _listen(stack: AsyncExitStack, name: str, app: web.Application, port: int) -> int:
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    try:
        await web.TCPSite(runner, HOST, port).start()
    except OSError as error:
        raise _explained(error, name, port) from error
    return int(runner.addresses[0][1])


async def _listen_smtp(stack: AsyncExitStack, mailbox: Mailbox, port: int) -> int:
    try:
        server = await asyncio.get_running_loop().create_server(mailbox.smtp, HOST, port)
    except OSError as error:
        raise _explained(error, "smtp", port) from error
    stack.callback(server.close)
    return int(server.sockets[0].getsockname()[1])


def _explained(error: OSError, name: str, port: int) -> Exception:
    return PortBusyError(name, port) if error.errno == errno.EADDRINUSE else error
