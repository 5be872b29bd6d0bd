"""Installs requirements-dev.txt, or the file that is named, into this Python's environment: by uv,
or by pip when uv cannot.

Run as a script before anything is installed, so the standard library is all there is. uv does not
read pip's configuration; a mirror, a certificate or a folder of wheels set for pip is passed on.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

_FILE = sys.argv[1] if __name__ == "__main__" and sys.argv[1:] else "requirements-dev.txt"
_REQUIREMENTS = Path(__file__).resolve().parent.parent / _FILE
_STAMP = Path(sys.prefix) / _REQUIREMENTS.name
_PIP = (sys.executable, "-m", "pip")
_UV = (sys.executable, "-m", "uv")
_UV_VARIABLES = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "trusted-host": "UV_INSECURE_HOST",
    "cert": "SSL_CERT_FILE",
    "timeout": "UV_HTTP_TIMEOUT",
    "default-timeout": "UV_HTTP_TIMEOUT",
}


def main() -> int:
    """Install unless the very same requirements are installed already."""
    text = _REQUIREMENTS.read_text()
    if _STAMP.exists() and _STAMP.read_text() == text:
        return 0
    print("Installing the locked requirements (once) ...", flush=True)
    if not (_install_uv(text) and _install_by_uv()):
        print("uv cannot be used here, pip does the same more slowly ...", flush=True)
        subprocess.run([*_PIP, "install", "--require-hashes", "-r", str(_REQUIREMENTS)], check=True)
    shutil.copyfile(_REQUIREMENTS, _STAMP)
    return 0


def _install_uv(requirements: str) -> bool:
    pinned = _STAMP.with_name("requirements-uv.txt")
    pinned.write_text(block("uv", requirements))
    return _succeeds([*_PIP, "install", "--quiet", "--require-hashes", "-r", str(pinned)])


def _install_by_uv() -> bool:
    configured = subprocess.run([*_PIP, "config", "list"], capture_output=True, text=True)
    settings = uv_settings(configured.stdout.splitlines())
    command = [*_UV, "pip", "install", "--python", sys.executable, "--require-hashes"]
    command += ["--compile-bytecode", "-r", str(_REQUIREMENTS)]
    return _succeeds(command, {**settings, **os.environ})


def block(name: str, requirements: str) -> str:
    """The lines of one package in a locked requirements file: its version and its hashes."""
    found = re.search(rf"^{re.escape(name)}==(.*\\\n)*.*\n", requirements, re.MULTILINE)
    return found.group() if found else ""


def uv_settings(configuration: Iterable[str]) -> dict[str, str]:
    """What `pip config list` says, as uv's environment variables.

    A variable goes before the section of `pip install`, and that before the general one.
    """
    settings: dict[str, str] = {}
    lines = [re.fullmatch(r"(.+?)\.([a-z-]+)='(.*)'", line.strip()) for line in configuration]
    for section in (":env:", "install", "global"):
        for found in lines:
            variable = _UV_VARIABLES.get(found.group(2)) if found else None
            if found and variable and found.group(1) == section:
                settings.setdefault(variable, _uv_value(variable, found.group(3)))
    if "UV_INDEX" in settings:  # as pip does; harmless, since every file must match its hash
        settings["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    return settings


def _uv_value(variable: str, value: str) -> str:
    words = value.replace("\\n", " ").split()
    return ("," if variable == "UV_FIND_LINKS" else " ").join(words)


def _succeeds(command: list[str], environment: Mapping[str, str] | None = None) -> bool:
    return subprocess.run(command, env=environment, check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
