"""HR data dropped as files: CSV, JSON Lines or JSON, local or in an object store."""

from __future__ import annotations

import asyncio
import codecs
import csv
import io
import json
import logging
import re
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from glob import escape
from itertools import islice
from typing import IO, Any, TypeVar

from accountsync.domain.reasons import Kind, Reason
from accountsync.errors import ConfigurationError, IncompleteReadError, TransientError
from accountsync.hr import storage
from accountsync.hr.source import Ask
from accountsync.hr.storage import Folder, in_store, is_there, listed, opened, state
from accountsync.settings.hr_files import DoneMarker, FileSource
from accountsync.wire.paging import Page
from accountsync.wire.unreadable import Unreadable, parse

log = logging.getLogger(__name__)

_ROWS_PER_PAGE = 1000
_NUMBER = re.compile(r"([0-9]+)")
T = TypeVar("T")


class FileHrSource:
    """One file is one read. full: the newest complete file; changes: the first by name.

    Only this kind of source has more than `pages`: a file can be awaited (`has_news`), recognised
    when it is read again (`what_was_read`) and put away (`merged`).
    """

    def __init__(self, source: FileSource, *, folder: Folder, archive: Folder) -> None:
        self._source = source
        self._folder = folder
        self._archive = archive
        self._chosen: Any = None
        self._as_read: Any = None
        self._superseded: list[Any] = []

    async def has_news(self) -> bool:
        """False where no new file has come, which is no error."""
        await self._require_folders()
        candidates = await self._candidates(self._folder)
        complete = await self._complete(candidates)
        if not complete:
            log.info(
                "event=no_complete_file source=%s pattern=%s found=%s wait_for=%s",
                self._source.name, self._source.pattern, len(candidates),
                self._source.complete.kind,
            )  # fmt: skip
            return False
        if not in_store(self._archive):
            await self._io(lambda: self._archive.mkdir(parents=True, exist_ok=True))
        if self._source.content == "full":
            *self._superseded, self._chosen = complete
        else:
            self._chosen = complete[0]
        if self._source.content == "full" or "source_updated_at" not in self._source.fields:
            await self._refuse_older()
        return True

    async def _require_folders(self) -> None:
        """Both have to be there before anything is merged, but an archive on this machine."""
        if not await self._io(is_there, self._folder):
            raise TransientError(
                f"{self._described}: the folder of `path` is not there; is it right?"
            )
        if in_store(self._archive) and not await self._io(is_there, self._archive):
            raise TransientError(
                f"{self._described}: the bucket of `archive` is not there; is it right?"
            )

    async def _candidates(self, folder: Folder) -> list[Any]:
        matching = await self._io(listed, folder, self._source.pattern)
        suffix = getattr(self._source.complete, "suffix", None)
        files = [file for file in matching if not (suffix and file.name.endswith(suffix))]
        return sorted(files, key=lambda file: _in_order(str(file.name)))

    async def _refuse_older(self) -> None:
        """A file that is older than the last merged one would take back what has changed since.
        Files of changes are refused only where their rows have no time of change."""
        if archived := await self._candidates(self._archive):
            name, last = str(self._chosen.name), str(archived[-1].name)
            if _in_order(name) < _in_order(last):
                raise ConfigurationError(
                    f"{name} is older by name than {last}, which was merged: move it away, or, if"
                    " it is how HR is now, give it a name that comes after"
                )

    async def _complete(self, files: list[Any]) -> list[Any]:
        """Waits once for all files together: those that did not change meanwhile are complete."""
        rule = self._source.complete
        if isinstance(rule, DoneMarker):
            return await self._marked(files, rule.suffix)
        before = [await self._io(state, file) for file in files]
        if files:
            await asyncio.sleep(rule.wait.total_seconds())
        return [
            file
            for file, as_it_was in zip(files, before, strict=True)
            if as_it_was == await self._io(state, file)
        ]

    async def _marked(self, files: list[Any], suffix: str) -> list[Any]:
        markers = await self._io(listed, self._folder, self._source.pattern + escape(suffix))
        marked = {marker.name for marker in markers}
        return [file for file in files if file.name + suffix in marked]

    def _marker(self, file: Any) -> Any:
        return self._folder / (file.name + getattr(self._source.complete, "suffix", ""))

    async def pages(self, ask: Ask) -> AsyncIterator[Page]:
        """The file must not change while it is read, and hold as many rows as its marker says."""
        self._as_read = before = await self._io(state, self._chosen)
        declared = await self._io(self._declared_rows)
        rows = await self._io(self._open)
        received = number = 0
        while lot := await self._io(lambda: list(islice(rows, _ROWS_PER_PAGE))):
            number += 1
            received += len(lot)
            yield Page(number=number, rows=lot, total_pages=None, total_rows=declared)
        if declared is not None and declared != received:
            raise IncompleteReadError(
                f"{self._chosen.name}: {declared} rows declared by its marker, {received} read"
            )
        if before != await self._io(state, self._chosen):
            raise IncompleteReadError(f"{self._chosen.name} changed while it was read")

    def _declared_rows(self) -> int | None:
        if not isinstance(self._source.complete, DoneMarker):
            return None
        with self._marker(self._chosen).open("rb") as marker:
            text = marker.read(64).strip()
        return int(text) if text.isdigit() else None

    def _open(self) -> Iterator[Any]:
        return _strict(self._chosen.name, self._source.encoding, self._rows())

    def _rows(self) -> Iterator[Any]:
        with opened(self._chosen) as raw:
            match self._source.format:
                case "csv":
                    yield from self._csv(raw)
                case "jsonl":
                    yield from self._json_lines(raw)
                case "json":
                    text = raw.read().decode(self._encoding, "surrogateescape")
                    yield from _records(parse(text), self._source.records)

    def _csv(self, raw: IO[bytes]) -> Iterator[dict[str, Any]]:
        with io.TextIOWrapper(raw, encoding=self._encoding, newline="") as text:
            reader = csv.DictReader(text, delimiter=self._source.delimiter, strict=True)
            self._require_columns(reader.fieldnames or ())
            for row in reader:
                if None in row or None in row.values():
                    raise IncompleteReadError(
                        f"{self._chosen.name} line {reader.line_num}: another number of cells than"
                        " the first line has"
                    )
                yield row

    def _require_columns(self, columns: Sequence[str]) -> None:
        """A column that is missing would empty its field for everybody (I2)."""
        fields = self._source.fields.values()
        if repeated := sorted({field.path for field in fields if columns.count(field.path) > 1}):
            raise IncompleteReadError(
                f"{self._chosen.name}: its first line has {', '.join(repeated)} more than once"
            )
        wanted = {field.path for field in fields if field.default is None}
        if lacking := sorted(wanted - {*columns}):
            raise IncompleteReadError(
                f"{self._chosen.name}: its first line has no column {', '.join(lacking)};"
                " are `fields`, `delimiter` and `encoding` right?"
            )

    @property
    def _encoding(self) -> str:
        """UTF-8 is read without its byte order mark, even where `encoding` says plain utf-8."""
        declared = self._source.encoding
        return "utf-8-sig" if codecs.lookup(declared).name == "utf-8" else declared

    def _json_lines(self, raw: IO[bytes]) -> Iterator[Any]:
        """Raises IncompleteReadError where not one line is JSON."""
        lines = bad = 0
        with io.TextIOWrapper(raw, encoding=self._encoding, errors="surrogateescape") as text:
            for number, line in enumerate(text, start=1):
                if not line.strip():
                    continue
                row = _json_line(line, number)
                lines += 1
                bad += isinstance(row, Unreadable)
                yield row
        if lines and lines == bad:
            raise IncompleteReadError(f"{self._chosen.name}: not one line of it is JSON")

    def what_was_read(self) -> str:
        """A text that changes when the file does. Its first line is the file's name."""
        return f"{self._chosen.name}\n{self._as_read}"

    async def merged(self) -> None:
        """Called once the file is safely in the store, or a human has rejected it. It goes into the
        archive, older full files with it, or every run would read it again. A file that has been
        replaced since stays, for it was not read."""
        read = [self._chosen] if self._as_read == await self._io(state, self._chosen) else []
        if not read:
            log.warning("event=file_replaced source=%s: read next", self._source.name)
        files = [*self._superseded, *read]
        for file in files:
            await self._io(self._move, file, self._archive)
        await self._require_gone({file.name for file in files})

    async def _require_gone(self, names: set[str]) -> None:
        """Some stores, S3 among them, do not say that a file may not be deleted."""
        if not in_store(self._folder):
            return
        left = [file.name for file in await self._candidates(self._folder) if file.name in names]
        if left:
            raise ConfigurationError(
                f"{self._described}: {left[0]} was merged and copied to `archive`, and is still in"
                " `path`, where it is read again with every run: may it be deleted there?"
            )

    def _move(self, file: Any, archive: Folder) -> None:
        """The marker goes last, since a crash may leave a marker without a file, but no more."""
        marker = self._marker(file)
        file.rename(archive / file.name)
        if isinstance(self._source.complete, DoneMarker) and marker.exists():
            marker.rename(archive / marker.name)

    async def _io(self, call: Callable[..., T], *arguments: Any) -> T:
        return await storage.io(self._source, call, *arguments)

    @property
    def _described(self) -> str:
        return storage.described(self._source)


def _in_order(name: str) -> list[Any]:
    """A key that sorts by name and takes numbers as numbers: staff-10 comes after staff-9."""
    return [int(part) if n % 2 else part for n, part in enumerate(_NUMBER.split(name))]


def _strict(name: str, encoding: str, rows: Iterator[Any]) -> Iterator[Any]:
    """A file that cannot be decoded or parsed to its end is not read at all. Errors that hold the
    file's bytes are left out of the log (`from None`)."""
    try:
        yield from rows
    except UnicodeError:
        raise IncompleteReadError(
            f"{name} is not, to its end, in {encoding} (`encoding`)"
        ) from None
    except csv.Error as error:
        raise IncompleteReadError(f"{name} is no CSV to its end: {error}") from error
    except json.JSONDecodeError as error:
        raise IncompleteReadError(f"{name} is no JSON to its end: {error.msg}") from None


def _json_line(line: str, number: int) -> Any:
    """A line that is no JSON is a bad row (I3). Without its end, the file was cut off (I2)."""
    try:
        return parse(line)
    except json.JSONDecodeError:
        if not line.endswith("\n"):
            raise
        return Unreadable(line.rstrip("\n"), Reason.of(Kind.IS_NO_JSON_LINE, line=number))


def _records(document: Any, path: str | None) -> Iterator[Any]:
    for step in path.split(".") if path else ():
        document = document.get(step) if isinstance(document, dict) else None
    if not isinstance(document, list):
        raise ConfigurationError(f"records: no list at {path or 'the top'} of the JSON file")
    yield from document
