"""Receiving a submission: a multipart body, written into a folder as it comes, within the limits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from unseen.core.errors import InputError
from unseen.io.atomic import make_folder
from unseen.serve.content import parse_json
from unseen.serve.errors import TooLarge
from unseen.serve.folders import Folders, new_id
from unseen.serve.limits import Limits

_LONGEST_FIELD = 1 << 20
_LONGEST_NAME = 100


@dataclass(frozen=True)
class UploadedFile:
    """A file that came: where it lies, and the name its owner gave it."""

    path: Path
    given: str


@dataclass
class Upload:
    """A submission.

    Attributes:
        id: the job's, if it becomes one.
        folder: in which its files lie.
        kind, settings: as they came.
        files: by the input's name.
    """

    id: str
    folder: Path
    kind: str = ""
    settings: Any = field(default_factory=dict)
    files: dict[str, list[UploadedFile]] = field(default_factory=dict)

    @classmethod
    def begin(cls, folders: Folders) -> Upload:
        """An empty one."""
        job_id = new_id()
        return cls(job_id, make_folder(folders.incoming(job_id)))

    def new_file(self, name: str, given: str) -> Path:
        """Where the next file of an input goes."""
        files = self.files.setdefault(name, [])
        folder = make_folder(self.folder / "in" / name)
        files.append(UploadedFile(folder / f"{len(files):04d}.part", given))
        return files[-1].path


async def receive(
    body: AsyncIterator[bytes], content_type: str, upload: Upload, limits: Limits, allowed: Callable[[str, str], None]
) -> None:
    """Fill an upload from a multipart body.

    Args:
        body: as it comes.
        content_type: of the request.
        upload: to be filled.
        limits: of files.
        allowed: told the kind (when it came before) and the name of an input, before its file is written; raises
            InputError where there is no such.

    Raises:
        InputError: no multipart body, a damaged one, or fields that are unknown.
        TooLarge: too many files, or too long a field.
    """
    kind, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if kind != b"multipart/form-data" or not 0 < len(boundary) <= 70:
        raise InputError("expected a multipart/form-data body with kind, settings and files")
    parts = _Parts(upload, limits, allowed)
    parser = MultipartParser(boundary, parts.callbacks())
    try:
        async for chunk in body:
            if chunk:
                await asyncio.to_thread(parser.write, chunk)
        parser.finalize()
    except FormParserError as error:
        raise InputError("the multipart body is damaged") from error
    finally:
        parts.close()
    if not parts.complete:
        raise InputError("the multipart body ends too early")


class _Parts:
    """What the parser calls."""

    def __init__(self, upload: Upload, limits: Limits, allowed: Callable[[str, str], None]) -> None:
        self.upload, self.limits, self.allowed = upload, limits, allowed
        self.headers: dict[bytes, bytes] = {}
        self.header, self.value = b"", b""
        self.name, self.text = "", bytearray()
        self.file: BinaryIO | None = None
        self.count, self.complete = 0, False

    def callbacks(self) -> Any:
        return {
            "on_part_begin": self.begin, "on_header_field": self.header_field, "on_header_value": self.header_value,
            "on_header_end": self.header_end, "on_headers_finished": self.headers_finished,
            "on_part_data": self.data, "on_part_end": self.end, "on_end": self.finish,
        }  # fmt: skip

    def begin(self) -> None:
        self.headers, self.name, self.text = {}, "", bytearray()

    def header_field(self, data: bytes, start: int, end: int) -> None:
        self.header += data[start:end]

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self.value += data[start:end]

    def header_end(self) -> None:
        self.headers[self.header.lower()] = self.value
        self.header, self.value = b"", b""

    def headers_finished(self) -> None:
        _, options = parse_options_header(self.headers.get(b"content-disposition", b""))
        self.name = options.get(b"name", b"").decode(errors="replace")
        self.count += 1
        if self.count > self.limits.files + 2:
            raise TooLarge(f"more than {self.limits.files} files: expected fewer")
        if b"filename" not in options:
            if self.name not in ("kind", "settings"):
                raise InputError(f"unknown field {self.name!r:.60}: expected kind, settings, or a file")
            return
        if not self.name or len(self.name) > _LONGEST_NAME:
            raise InputError("a file came without the name of an input")
        self.allowed(self.upload.kind, self.name)
        given = options[b"filename"].decode(errors="replace")
        self.file = self.upload.new_file(self.name, given).open("xb")

    def data(self, data: bytes, start: int, end: int) -> None:
        if self.file is not None:
            self.file.write(memoryview(data)[start:end])
            return
        self.text += data[start:end]
        if len(self.text) > _LONGEST_FIELD:
            raise TooLarge(f"the field {self.name} is longer than {_LONGEST_FIELD >> 10} KiB")

    def end(self) -> None:
        if self.file is not None:
            self.close()
        elif self.name == "kind":
            self.upload.kind = self.text.decode(errors="replace")
        else:
            self.upload.settings = parse_json(bytes(self.text), self.limits)

    def finish(self) -> None:
        self.complete = True

    def close(self) -> None:
        if self.file is not None:
            self.file.close()
            self.file = None
