"""The simulators as processes: start, stop, kill, busy ports, commands."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from simulators.__main__ import main
from simulators.client import HrClient, TargetClient
from simulators.run import HrOptions, PortBusyError, running

ROOT = Path(__file__).parents[2]
SERVERS = ("hr", "idaas", "welink", "exchange", "mail", "smtp")


@contextmanager
def started(*arguments: str, lines: int) -> Iterator[subprocess.Popen]:
    """Start a process and wait for the lines that say where it listens."""
    command = [sys.executable, "-W", "error", "-m", "simulators", *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            process.announced = [process.stdout.readline() for _ in range(lines)]
            yield process
        finally:
            process.kill()


def test_all_starts_everything_and_ends_cleanly_on_sigterm():
    options = [word for name in SERVERS for word in (f"--{name}-port", "0")]
    with started("all", "--persons", "50", *options, lines=6) as process:
        urls = dict(line.split() for line in process.announced)
        assert tuple(urls) == SERVERS
        assert HrClient(urls["hr"]).state()["persons"] == 50
        assert TargetClient(urls["idaas"]).accounts() == []
        process.send_signal(signal.SIGTERM)
        _, complaints = process.communicate(timeout=60)
    assert (process.returncode, complaints) == (0, "")


def test_events_survive_kill_nine(tmp_path):
    command = ("hr", "--port", "0", "--persons", "50", "--state", str(tmp_path))
    with started(*command, lines=1) as process:
        hr = HrClient(process.announced[0].split()[1])
        hr.events(join=3, leave=2)
        expected = hr.persons()
        process.kill()
        process.wait(60)
    with started(*command, lines=1) as process:
        assert HrClient(process.announced[0].split()[1]).persons() == expected
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0


@pytest.mark.parametrize(
    ("command", "option"),
    [(["hr", "--port"], "--port"), (["all", "--hr-port"], "--hr-port")],
)
def test_a_busy_port_is_one_clear_line(command, option, capsys):
    with running(hr=HrOptions(persons=1)) as sims:
        port = sims.ports["hr"]
        assert main([*command, str(port)]) == 1
    assert capsys.readouterr().err == f"port {port} is busy: choose another with {option}\n"


def test_a_busy_smtp_port_names_its_own_option(capsys):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert main(["mail", "--port", "0", "--smtp-port", str(port)]) == 1
    assert capsys.readouterr().err == f"port {port} is busy: choose another with --smtp-port\n"


def test_running_tells_the_caller_that_a_port_is_busy():
    with running(hr=HrOptions(persons=1)) as sims:
        busy = HrOptions(persons=1, port=sims.ports["hr"])
        with pytest.raises(PortBusyError), running(hr=busy):
            pass


def test_ending_does_not_wait_for_slow_requests():
    with running(hr=HrOptions(persons=1)) as sims:
        sims.hr.fault("latency", seconds=120.0)
        connection = socket.create_connection(("127.0.0.1", sims.ports["hr"]))
        connection.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        while not sims.hr.state()["in_flight"]:
            time.sleep(0.01)
        start = time.monotonic()
    assert time.monotonic() - start < 60
    connection.close()


def test_one_command_hires_people(sims, capsys):
    assert main(["event", "join", "2", "leave", "1", "--hr-url", sims.hr.url]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "join: 00100251 00100252"
    assert printed[1].startswith("leave: ")
    assert sims.hr.state()["persons"] == 252


@pytest.mark.parametrize("words", [["join"], ["join", "many"], ["retire", "1"]])
def test_an_event_without_meaning_is_one_clear_line(sims, capsys, words):
    assert main(["event", *words, "--hr-url", sims.hr.url]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_one_command_breaks_and_mends_a_server(sims, capsys):
    words = ["status", "code=502", "times=3", "path=/users"]
    assert main(["fault", sims.idaas.url, *words]) == 0
    assert '"code":502' in capsys.readouterr().out
    assert sims.idaas.faults()[0]["times"] == 3
    assert main(["fault", sims.idaas.url, "clear"]) == 0
    assert sims.idaas.faults() == []


def test_one_command_prints_the_mails(sims, capsys):
    assert main(["mails", "--mail-url", sims.mail.url]) == 0
    assert capsys.readouterr().out == ""


def test_a_missing_simulator_is_one_clear_line(capsys):
    with running(hr=HrOptions(persons=1)) as sims:
        url = sims.hr.url
    assert main(["event", "join", "1", "--hr-url", url]) == 1
    assert f"no simulator answers at {url}" in capsys.readouterr().err


def test_state_of_other_options_is_one_clear_line(tmp_path, capsys):
    with running(hr=HrOptions(persons=5), state=tmp_path):
        pass
    assert main(["hr", "--port", "0", "--persons", "6", "--state", str(tmp_path)]) == 1
    assert "was begun with" in capsys.readouterr().err
