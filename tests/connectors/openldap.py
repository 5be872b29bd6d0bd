"""OpenLDAP's slapd, a real one: in a folder of its own, on this machine's loopback only."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from demo import ports
from tests.connectors import certificates
from tests.connectors.directory_server import DirectoryServer, program, serving

HOST = "127.0.0.1"
SUFFIX = "dc=example,dc=com"
BASE = f"ou=people,{SUFFIX}"
GROUPS = f"ou=groups,{SUFFIX}"
LOGIN, PASSWORD = f"cn=accountsync,ou=services,{SUFFIX}", "slapd-secret"
ADMIN, ADMIN_PASSWORD = f"cn=admin,{SUFFIX}", "admin-secret"
OTHERS = f"ou=others,{SUFFIX}"
"""Beside the base; our login may read and change what is there."""
HIDDEN = f"ou=hidden,{SUFFIX}"
"""Our login may not see what is there."""
POLICY, NO_LOCKOUT = f"cn=lockout,ou=policies,{SUFFIX}", f"cn=nothing,ou=policies,{SUFFIX}"
LOCKED = f"cn=locked,{GROUPS}"
"""A group whose members our login may see, and not change."""

_CONFIG = """
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload ppolicy
moduleload unique
pidfile {folder}/slapd.pid
TLSCACertificateFile {files.ca}
TLSCertificateFile {files.certificate}
TLSCertificateKeyFile {files.key}
database mdb
suffix "{suffix}"
rootdn "{admin}"
rootpw {admin_password}
directory {folder}/data
dbnosync
index objectClass,entryUUID,employeeNumber,uid,member eq
limits dn.exact="{login}" size.soft=3 size.hard=50 size.pr=20 size.prtotal=unlimited
access to attrs=userPassword by anonymous auth by * none
access to dn.subtree="ou=readonly,{base}" by dn.exact="{login}" read
access to dn.subtree="{base}" by dn.exact="{login}" write
access to dn.subtree="{groups}" attrs=entry,objectClass by dn.exact="{login}" read
access to dn.exact="cn=locked,{groups}" attrs=member by dn.exact="{login}" read
access to dn.subtree="{groups}" attrs=member by dn.exact="{login}" write
access to dn.subtree="{others}" by dn.exact="{login}" write
access to dn.subtree="ou=policies,{suffix}" by dn.exact="{login}" read
access to dn.base="{suffix}" by dn.exact="{login}" search
access to * by * none
{overlays}
overlay unique
unique_uri ldap:///{base}?employeeNumber?sub
"""
_TREE = """
dn: {suffix}
objectClass: domain
dc: example

dn: ou=services,{suffix}
objectClass: organizationalUnit

dn: {login}
objectClass: person
sn: accountsync
userPassword: {password}

dn: {base}
objectClass: organizationalUnit

dn: {groups}
objectClass: organizationalUnit

dn: {others}
objectClass: organizationalUnit

dn: {hidden}
objectClass: organizationalUnit

dn: ou=policies,{suffix}
objectClass: organizationalUnit

dn: {policy}
objectClass: device
objectClass: pwdPolicy
pwdAttribute: userPassword
pwdLockout: TRUE

dn: {no_lockout}
objectClass: device
objectClass: pwdPolicy
pwdAttribute: userPassword

dn: cn=staff,{groups}
objectClass: groupOfNames
member: {login}

dn: cn=vpn,{groups}
objectClass: groupOfNames
member: {login}

dn: cn=others,{groups}
objectClass: groupOfNames
member: {login}

dn: cn=locked,{groups}
objectClass: groupOfNames
member: {login}
"""
PROVEN = f'overlay ppolicy\nppolicy_default "{POLICY}"\nppolicy_use_lockout'
"""The lock counts for everybody, and the server says so."""
UNPROVEN = "overlay ppolicy"
"""The overlay is loaded, and no policy makes the lock count: a locked account logs in."""
SILENT = f'overlay ppolicy\nppolicy_default "{POLICY}"'
"""The lock counts, and the server does not say so."""
_UNITS = ("readonly", "集团", "研发,ou=集团", "销售,ou=集团")


@contextmanager
def running(folder: Path, *, overlays: str = PROVEN) -> Iterator[DirectoryServer]:
    slapd = program("slapd", "slapd")
    (folder / "data").mkdir(parents=True)
    files = certificates.made_for("ldap.example.com", folder / "tls")
    names = {"suffix": SUFFIX, "base": BASE, "groups": GROUPS, "login": LOGIN, "others": OTHERS}
    own = {"hidden": HIDDEN, "policy": POLICY, "no_lockout": NO_LOCKOUT}
    admin = {"admin": ADMIN, "admin_password": ADMIN_PASSWORD}
    config = folder / "slapd.conf"
    settings = _CONFIG.format(folder=folder, files=files, overlays=overlays, **names, **admin)
    config.write_text(settings, "utf-8")
    units = [f"dn: ou={one},{BASE}\nobjectClass: organizationalUnit\n" for one in _UNITS]
    tree = "\n".join([_TREE.format(password=PASSWORD, **names, **own), *units])
    add = [shutil.which("slapadd", path="/usr/sbin") or "slapadd", "-q", "-f", str(config)]
    subprocess.run(add, input=tree.encode(), check=True)
    plain, encrypted = ports.free(2)
    urls = f"ldap://{HOST}:{plain} ldaps://{HOST}:{encrypted}"
    command = [slapd, "-f", str(config), "-h", urls, "-d", "0"]
    server = DirectoryServer(
        host=HOST, plain=plain, encrypted=encrypted, ca=files.ca, login=LOGIN, password=PASSWORD
    )
    with serving(command, server, log=folder / "slapd.log"):
        yield server
