"""docs/deployment.md: its commands, taken out to be run."""

import re
import shutil
import subprocess
from pathlib import Path

import compose_file
import dotenv

_BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def commands(containing: str) -> str:
    """The one block of shell commands that contains a text."""
    blocks = _BLOCK.findall(compose_file.DOCUMENT.read_text())
    (found,) = [block for block in blocks if containing in block]
    return str(found)


def filled_env(folder: Path) -> dict[str, str]:
    """The .env that the document's own commands make, in a folder of ours."""
    shutil.copy(compose_file.ENV_EXAMPLE, folder)
    script = commands(".env.example .env")
    subprocess.run(["bash", "-euo", "pipefail", "-c", script], cwd=folder, check=True)
    return {
        name: value or ""
        for name, value in dotenv.dotenv_values(folder / ".env", interpolate=False).items()
    }
