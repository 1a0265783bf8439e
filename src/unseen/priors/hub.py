"""Finding a model's folder: a path, or a repository on the model hub, fetched once and kept."""

from __future__ import annotations

import re
from pathlib import Path

from unseen.core.errors import InputError, ResourceError
from unseen.io.atomic import PathLike

_ID = re.compile(r"[\w.-]+/[\w.-]+(@[\w.-]+)?")


def model_folder(name: PathLike, patterns: list[str] | None = None) -> Path:
    """The folder of a model.

    Args:
        name: a folder, or the id of a repository, "owner/name" or "owner/name@revision".
        patterns: of the files that are needed; all when None.

    Raises:
        InputError: neither a folder nor an id, or no such repository, or one that asks for a login.
        ResourceError: it is not on this machine and cannot be fetched.
    """
    path = Path(name)
    if path.is_dir():
        return path
    if not _ID.fullmatch(str(name)):
        raise InputError(f"no model folder {name}: expected a folder, or a repository as owner/name")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError

    repository, _, revision = str(name).partition("@")
    try:
        return Path(snapshot_download(repository, revision=revision or None, allow_patterns=patterns))
    except GatedRepoError as error:
        raise InputError(f"{repository} is gated: accept its terms on its page, then run `hf auth login`") from error
    except RepositoryNotFoundError as error:
        raise InputError(f"no repository {repository}, or it is private: check the name, or log in") from error
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise ResourceError(f"cannot fetch {repository}: {error}; download it elsewhere and pass its folder") from error
