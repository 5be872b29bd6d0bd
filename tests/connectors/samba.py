"""Samba as an Active Directory domain controller, a real one: on a loopback address of its own.

It listens on the ports of LDAP, which cannot be changed and need root; so the address is random.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from accountsync.settings.parts import Rate
from accountsync.wire import ldap_messages
from accountsync.wire.directory import Directory
from tests.connectors import certificates
from tests.connectors.directory_server import DirectoryServer, program, serving, unavailable

REALM, DOMAIN = "example.test", "DC=example,DC=test"
NAME = f"dc1.{REALM}"
BASE, GROUPS = f"OU=People,{DOMAIN}", f"OU=Groups,{DOMAIN}"
LOGIN, PASSWORD = f"Administrator@{REALM}", "Samba-secret-1"
OTHERS = f"OU=Others,{DOMAIN}"
"""Beside the base."""
_UNITS = (
    BASE,
    GROUPS,
    OTHERS,
    f"OU=集团,{BASE}",
    f"OU=研发,OU=集团,{BASE}",
    f"OU=销售,OU=集团,{BASE}",
)
_PACKAGES = "samba-ad-dc samba-ad-provision"
_UNSAFE = {"TDB_NO_FSYNC": "1"}

_ADDED = """
[global]
  server services = ldap
  interfaces = {host}/24
  bind interfaces only = yes
  pid directory = {folder}
  ncalrpc dir = {folder}/ncalrpc
  log file = {folder}/samba.log
  tls certfile = {files.certificate}
  tls keyfile = {files.key}
  tls cafile = {files.ca}
"""


@contextmanager
def running(folder: Path) -> Iterator[DirectoryServer]:
    samba, tool = program("samba", _PACKAGES), program("samba-tool", _PACKAGES)
    if os.geteuid() != 0:
        unavailable("Samba listens on ports 389 and 636: run these tests as root")
    folder.mkdir(parents=True, exist_ok=True)
    files = certificates.made_for(NAME, folder / "tls")
    _provision(tool, folder / "dc")
    host = "127." + ".".join(str(random.randint(2, 250)) for _ in range(3))
    config = folder / "dc" / "etc" / "smb.conf"
    own, _, _ = config.read_text("utf-8").partition("[sysvol]")
    own = re.sub(r"(?m)^\s*(server services|interfaces|log file) =.*\n", "", own)
    config.write_text(own + _ADDED.format(host=host, folder=folder, files=files), "utf-8")
    server = DirectoryServer(
        host=host, plain=389, encrypted=636, ca=files.ca, login=LOGIN, password=PASSWORD, name=NAME
    )
    command = [samba, "-i", "--no-process-group", "-M", "single", "-s", str(config)]
    with serving(command, server, log=folder / "out.log", environment=_UNSAFE):
        asyncio.run(_furnish(server))
        yield server


def _provision(tool: str, folder: Path) -> None:
    command = [
        tool, "domain", "provision", f"--targetdir={folder}", f"--realm={REALM.upper()}",
        "--domain=EXAMPLE", "--server-role=dc", "--dns-backend=NONE", f"--adminpass={PASSWORD}",
        "--host-name=dc1", "--host-ip=127.0.0.1", "--option=interfaces=lo",
        "--option=bind interfaces only=yes",
    ]  # fmt: skip
    done = subprocess.run(command, env={**os.environ, **_UNSAFE}, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"samba-tool domain provision: {done.stderr[-2000:]}")


async def _furnish(server: DirectoryServer) -> None:
    async with Directory(server.endpoint(), rate=Rate(concurrency=1), timeout_s=30) as directory:
        for dn in _UNITS:
            await directory.change(ldap_messages.add(dn, {"objectClass": [b"organizationalUnit"]}))
        for name in ("staff", "vpn", "others"):
            group = ldap_messages.add(f"CN={name},{GROUPS}", {"objectClass": [b"group"]})
            await directory.change(group)
