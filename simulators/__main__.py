"""The command line: run simulators, let things happen to people, break and mend servers.

python -m simulators all --persons 1000 --state .demo/simulators
python -m simulators event join 20
python -m simulators fault http://127.0.0.1:18082 status code=503 times=3
python -m simulators mails
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from .client import HrClient, MailClient, SimClient, SimulatorError
from .events import KINDS
from .journal import JournalMismatchError
from .run import HOST, HrOptions, MailOptions, Options, PortBusyError, Sims, TargetOptions, serving

PORTS = {
    "hr": 18081,
    "idaas": 18082,
    "welink": 18083,
    "exchange": 18084,
    "mail": 18085,
    "smtp": 18025,
    "staff": 18086,
}
SERVERS = ("hr", "idaas", "welink", "exchange", "mail")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; 0 when it did what it says, 1 with one line on stderr when not."""
    arguments = _parser().parse_args(argv)
    try:
        arguments.act(arguments)
    except PortBusyError as error:
        option = _port_option(arguments.command, error.server)
        print(f"port {error.port} is busy: choose another with {option}", file=sys.stderr)
        return 1
    except (SimulatorError, JournalMismatchError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m simulators", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    commands = parser.add_subparsers(dest="command", required=True)
    for name in (*SERVERS, "staff", "all"):
        what = f"{', '.join(SERVERS)}, but not staff" if name == "all" else name
        _add_server(commands.add_parser(name, help=f"run {what}"), name)
    event = commands.add_parser("event", help="join 20, leave 3, …: let it happen to people")
    event.add_argument("what", nargs="+", metavar="KIND COUNT", help=", ".join(KINDS))
    event.add_argument("--in-days", type=int, default=0, help="dates lie so far ahead")
    event.add_argument("--hr-url", default=_default_url("hr"))
    event.set_defaults(act=_let_happen)
    fault = commands.add_parser("fault", help="break a server; KIND list or clear shows or mends")
    fault.add_argument("url")
    fault.add_argument("kind")
    fault.add_argument("options", nargs="*", metavar="key=value")
    fault.set_defaults(act=_break)
    mails = commands.add_parser("mails", help="print the caught mails")
    mails.add_argument("--mail-url", default=_default_url("mail"))
    mails.set_defaults(act=_print_mails)
    return parser


def _add_server(parser: argparse.ArgumentParser, name: str) -> None:
    for server in SERVERS if name == "all" else (name,):
        option = _port_option(name, server)
        parser.add_argument(option, dest=f"{server}_port", type=int, default=PORTS[server])
    if name in ("mail", "all"):
        parser.add_argument("--smtp-port", type=int, default=PORTS["smtp"])
    if name in ("hr", "staff", "all"):
        parser.add_argument("--persons", type=int, default=1_000)
        parser.add_argument("--seed", type=int, default=1)
    if name in ("hr", "all"):
        parser.add_argument("--warm", action="store_true", help="serialise all rows first")
    if name in ("exchange", "all"):
        parser.add_argument("--email-domain", default="example.com")
    parser.add_argument("--state", type=Path, help="keep changes in this folder")
    parser.set_defaults(act=lambda arguments: asyncio.run(_serve(_options(arguments))))


def _port_option(command: str, server: str) -> str:
    return "--port" if command == server else f"--{server}-port"


def _default_url(server: str) -> str:
    return f"http://{HOST}:{PORTS[server]}"


def _options(arguments: argparse.Namespace) -> Options:
    given = vars(arguments)
    hr = staff = idaas = welink = exchange = mail = None
    if "hr_port" in given:
        hr = HrOptions(
            persons=arguments.persons,
            seed=arguments.seed,
            port=arguments.hr_port,
            warm=arguments.warm,
        )
    if "staff_port" in given:
        staff = HrOptions(persons=arguments.persons, seed=arguments.seed, port=arguments.staff_port)
    if "idaas_port" in given:
        idaas = TargetOptions(port=arguments.idaas_port)
    if "welink_port" in given:
        welink = TargetOptions(port=arguments.welink_port)
    if "exchange_port" in given:
        domain = arguments.email_domain
        exchange = TargetOptions(port=arguments.exchange_port, email_domain=domain)
    if "mail_port" in given:
        mail = MailOptions(port=arguments.mail_port, smtp_port=arguments.smtp_port)
    state: Path | None = arguments.state
    return Options(
        hr=hr,
        staff=staff,
        idaas=idaas,
        welink=welink,
        exchange=exchange,
        mail=mail,
        state=state,
    )


async def _serve(options: Options) -> None:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with serving(options) as sims:
        _announce(sims)
        await stop.wait()


def _announce(sims: Sims) -> None:
    for name, port in sims.ports.items():
        scheme = "smtp" if name == "smtp" else "http"
        print(f"{name:<9} {scheme}://{HOST}:{port}", flush=True)


def _let_happen(arguments: argparse.Namespace) -> None:
    counts = _counts(arguments.what)
    changed = HrClient(arguments.hr_url).happen(counts, in_days=arguments.in_days)
    for kind, numbers in changed.items():
        print(f"{kind}: {' '.join(numbers)}")


def _counts(words: list[str]) -> dict[str, int]:
    if len(words) % 2 or not all(count.isdecimal() for count in words[1::2]):
        raise ValueError("events are pairs of KIND COUNT, such as: join 20 leave 3")
    return {kind: int(count) for kind, count in zip(words[::2], words[1::2], strict=True)}


def _break(arguments: argparse.Namespace) -> None:
    client = SimClient(arguments.url)
    if arguments.kind == "clear":
        client.heal()
    elif arguments.kind != "list":
        options = dict(_option(text) for text in arguments.options)
        client.faults({"kind": arguments.kind, **options})
    for rule in client.faults():
        print(orjson.dumps(rule).decode())


def _option(text: str) -> tuple[str, Any]:
    """Read key=value; the value is JSON when it can be, else text."""
    key, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"{text} is not key=value")
    try:
        return key, orjson.loads(value)
    except orjson.JSONDecodeError:
        return key, value


def _print_mails(arguments: argparse.Namespace) -> None:
    for mail in MailClient(arguments.mail_url, PORTS["smtp"]).mails():
        print(f"--- {mail['date']}  from {mail['from']} to {', '.join(mail['to'])}")
        print(f"{mail['subject']}\n\n{mail['text'] or mail['html']}")


if __name__ == "__main__":
    sys.exit(main())
