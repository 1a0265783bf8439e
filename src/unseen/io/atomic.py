"""Writing files so that a reader sees the old or the whole new one, never a part, and a refusal is one clear line."""

from __future__ import annotations

import errno
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from unseen.core.errors import ResourceError

PathLike = str | os.PathLike[str]

_REASONS = {
    errno.ENOSPC: "the disk is full: free some space or write elsewhere",
    errno.EDQUOT: "the disk quota is used up: free some space or write elsewhere",
    errno.EFBIG: "the file would exceed the size limit of this disk or process",
    errno.EACCES: "permission denied: choose a folder you may write to",
    errno.EPERM: "operation not permitted: choose a folder you may write to",
    errno.EROFS: "the file system is read-only: choose another folder",
    errno.ENOENT: "its folder does not exist: create it first",
    errno.ENOTDIR: "a part of its path is a file, not a folder",
    errno.EISDIR: "a folder of that name is in the way",
    errno.ENAMETOOLONG: "the name is too long for this file system",
    errno.EIO: "the disk reports an input/output error",
}


@contextmanager
def atomic_write(path: PathLike) -> Iterator[Path]:
    """Yield a temporary path beside `path` to write to; on a clean exit it is synced to disk and renamed to `path`.

    The temporary file exists, is empty, and keeps the suffix of `path`, so encoders that choose by suffix do right. If
    the body raises, the temporary file is removed and an older file at `path` stays as it was. A symbolic link is
    followed, not replaced.

    Raises:
        ResourceError: the machine refuses the write (disk full, no permission, read-only, no such folder, ...).
    """
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{target.stem[:64]}.{os.getpid()}-{secrets.token_hex(4)}.part{target.suffix}")
    try:
        if target.exists() and not target.is_file():
            raise (
                IsADirectoryError(errno.EISDIR, "") if target.is_dir() else OSError(errno.EINVAL, "not a regular file")
            )
        temporary.open("xb").close()
        yield temporary
        _sync(temporary)
        os.replace(temporary, target)
        _sync(target.parent)
    except OSError as error:
        if not _concerns(error, temporary, target):
            raise
        raise as_resource_error(error, path) from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def write_bytes(path: PathLike, data: bytes) -> None:
    """Write `data` to `path` atomically; raises ResourceError as `atomic_write` does."""
    with atomic_write(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: PathLike, text: str) -> None:
    """Write `text` as UTF-8 with unix line ends to `path` atomically; raises ResourceError as `atomic_write` does."""
    write_bytes(path, text.encode())


def write_json(path: PathLike, value: Any) -> None:
    """Write `value` as indented JSON to `path` atomically; raises ResourceError as `atomic_write` does."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def make_folder(path: PathLike) -> Path:
    """Create the folder `path` and its parents where they are missing, and return it.

    Raises:
        ResourceError: the machine refuses, or a file of that name is in the way.
    """
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise ResourceError(f"cannot create the folder {path}: a file of that name is in the way") from error
    except OSError as error:
        raise ResourceError(f"cannot create the folder {path}: {_reason(error)}") from error
    return Path(path)


def as_resource_error(error: OSError, path: PathLike) -> ResourceError:
    """The one-line error for a refused write to `path`."""
    return ResourceError(f"cannot write {path}: {_reason(error)}")


def _reason(error: OSError) -> str:
    return _REASONS.get(error.errno or 0, error.strerror or str(error))


def _concerns(error: OSError, temporary: Path, target: Path) -> bool:
    """Whether an OSError is about the file being written: it names no file, or it names this one."""
    ours = {str(temporary), str(target), str(target.parent)}
    return error.filename is None or os.fspath(error.filename) in ours


def _sync(path: Path) -> None:
    """Flush a file or folder to the disk. A file system that cannot sync folders is no reason to fail."""
    folder = path.is_dir()
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        if folder:
            return
        raise
    try:
        os.fsync(descriptor)
    except OSError as error:
        if not folder or error.errno in (errno.ENOSPC, errno.EIO, errno.EDQUOT):
            raise
    finally:
        os.close(descriptor)
