"""Where files of HR lie: a folder of this machine, or one of an object store."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Protocol, TypeVar

from accountsync.errors import ConfigurationError, TransientError
from accountsync.settings.hr_files import FileSource

_BLOCK = 8 * 2**20
_LOCAL = ("", "file", "local")
_NOT_OF_A_STORE = ("accountsync", "builtins")
"""Packages whose other errors are mistakes of ours."""
_LONGEST_MESSAGE = 200
T = TypeVar("T")


class Folder(Protocol):
    """As much of a path as is used: a pathlib.Path, or Airflow's ObjectStoragePath."""

    @property
    def name(self) -> str: ...
    def glob(self, pattern: str) -> Iterable[Any]: ...
    def exists(self) -> bool: ...
    def mkdir(self, *, parents: bool, exist_ok: bool) -> Any: ...
    def open(self, mode: str, **how: Any) -> Any: ...
    def stat(self) -> Any: ...
    def rename(self, target: Any) -> Any: ...
    def __truediv__(self, name: str) -> Any: ...


async def io(source: FileSource, call: Callable[..., T], *arguments: Any) -> T:
    """Calls off the event loop. It is the one place where errors of the storage become ours."""
    try:
        return await asyncio.to_thread(call, *arguments)
    except PermissionError as error:
        raise ConfigurationError(
            f"{described(source)}: refused ({_message(error)}); {_look_at(source)}: login,"
            " password, rights (docs/hr-sources.md lists them)"
        ) from error
    except OSError as error:
        raise _unusable(source, _message(error)) from error
    except Exception as error:
        if type(error).__module__.partition(".")[0] in _NOT_OF_A_STORE:
            raise
        raise _unusable(source, type(error).__name__) from error


def described(source: FileSource) -> str:
    return f"HR source {source.name!r} ({source.path}, archive {source.archive})"


def _unusable(source: FileSource, message: str) -> TransientError:
    return TransientError(f"{described(source)}: {message}; if it stays so, {_look_at(source)}")


def _look_at(source: FileSource) -> str:
    if source.connection:
        return f"look at that store and at Connection {source.connection!r}"
    return "look at that folder and at the rights of this user or machine"


def _message(error: OSError) -> str:
    """It is one line, although some stores answer with a page."""
    text = error.strerror or str(error) or type(error).__name__
    return " ".join(text.split())[:_LONGEST_MESSAGE]


def in_store(folder: Any) -> bool:
    return getattr(folder, "protocol", "file") not in _LOCAL


def opened(file: Any) -> Any:
    """It is read in blocks of ours: those of a store (S3: 50 MB) would fill the memory."""
    return file.open("rb", block_size=_BLOCK) if in_store(file) else file.open("rb")


def is_there(folder: Any) -> bool:
    """An object store has no folders without objects: there the bucket has to be there."""
    _forget(folder)
    if not in_store(folder):
        return bool(folder.exists())
    try:
        return folder.exists() or bool(folder.fs.exists(folder.container))
    except PermissionError:
        return _may_be_listed(folder)


def _may_be_listed(folder: Any) -> bool:
    """Rights to a folder's objects and their list are enough, although a store with no others lets
    nobody ask for the folder or the bucket. Raises PermissionError, as the store words it."""
    with suppress(FileNotFoundError):  # the folder is empty; a missing bucket is not refused above
        folder.fs.ls(folder.path)
    return True


def listed(folder: Any, pattern: str) -> list[Any]:
    """The files, without the folders beside them. A store is asked for its list alone, which needs
    no right to the objects and no call for each of them."""
    _forget(folder)
    if not in_store(folder):
        return [path for path in folder.glob(pattern) if path.is_file()]
    about_paths = folder.fs.glob(f"{folder.path.rstrip('/')}/{pattern}", detail=True)
    files = [path for path, about in about_paths.items() if about["type"] == "file"]
    return [folder / path.rpartition("/")[2] for path in files]


def state(file: Any) -> Any:
    """What changes when the file does: an object store's checksum (no content is read for it), a
    local file's size and time."""
    _forget(file)
    if hasattr(file, "checksum"):
        return file.checksum()
    status = file.stat()
    return (status.st_size, status.st_mtime)


def _forget(path: Any) -> None:
    """Clears what an object store remembers of its lists, since files may have changed."""
    if hasattr(path, "fs"):
        path.fs.invalidate_cache()
