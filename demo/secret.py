"""Generated secrets of the demo: made once, kept in a file that only its owner may read."""

import os
import secrets
from pathlib import Path


def secret(file: Path, *, size: int = 16) -> str:
    """The secret in the file; a new one of so many random bytes is made when there is none."""
    if not file.exists():
        write_private(file, secrets.token_hex(size))
    return file.read_text()


def write_private(file: Path, text: str) -> None:
    """Write a file of mode 0600, whole or not at all."""
    half = file.with_name(file.name + ".half")
    half.unlink(missing_ok=True)
    descriptor = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(text)
    half.replace(file)
