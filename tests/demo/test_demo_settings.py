"""Ports from the environment, and what is said when one of them is taken."""

import socket
from pathlib import Path

import pytest

from demo import ports
from demo.checks import UnfitMachineError, check_machine
from demo.settings import BadPortError, Ports, variable


def test_every_port_moves_by_its_own_variable() -> None:
    moved = {variable(name): str(20000 + number) for number, name in enumerate(Ports.names())}
    found = Ports.from_environment(moved)
    assert [getattr(found, name) for name in Ports.names()] == list(range(20000, 20009))
    assert Ports.from_environment({}) == Ports()


@pytest.mark.parametrize("text", ["", "x", "0", "65536", "-1", "80.5"])
def test_a_bad_port_is_refused_by_name(text: str) -> None:
    with pytest.raises(BadPortError, match="ACCOUNTSYNC_DEMO_PORT_HR=.* is not a port number"):
        Ports.from_environment({"ACCOUNTSYNC_DEMO_PORT_HR": text})


def test_a_busy_port_is_named_with_the_variable_that_changes_it(tmp_path: Path) -> None:
    with socket.create_server((ports.HOST, 0)) as other:
        number = other.getsockname()[1]
        with pytest.raises(UnfitMachineError) as caught:
            check_machine(Ports(welink=number), tmp_path, needed=frozenset({"welink"}))
    assert str(number) in str(caught.value)
    assert "ACCOUNTSYNC_DEMO_PORT_WELINK" in str(caught.value)


def test_a_port_that_is_not_needed_may_be_busy(tmp_path: Path) -> None:
    with socket.create_server((ports.HOST, 0)) as other:
        check_machine(Ports(scim=other.getsockname()[1]), tmp_path, needed=frozenset())


def test_two_servers_on_one_port_are_refused(tmp_path: Path) -> None:
    number = ports.free(1)[0]
    both = Ports(hr=number, idaas=number)
    with pytest.raises(UnfitMachineError, match=f"port {number} is meant for both hr and idaas"):
        check_machine(both, tmp_path, needed=frozenset({"hr", "idaas"}))


def test_free_ports_are_all_different() -> None:
    found = Ports.free()
    assert len({getattr(found, name) for name in Ports.names()}) == len(Ports.names())
