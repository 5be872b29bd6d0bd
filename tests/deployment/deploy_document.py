"""docs/deployment.md: its commands, taken out to be run."""

import re
import shutil
import subprocess
from pathlib import Path

import compose_file
import dotenv

_BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks() -> list[str]:
    """The blocks of shell commands."""
    return _BLOCK.findall(compose_file.DOCUMENT.read_text())


def fill_env(folder: Path) -> None:
    """Make .env in a folder of ours by the document's own commands."""
    shutil.copy(compose_file.ENV_EXAMPLE, folder)
    (script,) = [block for block in blocks() if ".env.example" in block]
    subprocess.run(["bash", "-euo", "pipefail", "-c", script], cwd=folder, check=True)


def read_env(folder: Path) -> dict[str, str]:
    """The .env of the folder as Compose reads it."""
    found = dotenv.dotenv_values(folder / ".env", interpolate=False)
    return {name: value or "" for name, value in found.items()}
