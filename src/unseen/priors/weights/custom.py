"""Key maps people write themselves: a JSON table of names, or a list of regular expressions and replacements."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from unseen.core.errors import FormatError
from unseen.io.reading import read_bytes
from unseen.priors.weights.links import KeyMismatchError
from unseen.priors.weights.tensors import Renamed, Tensors, renamed


def apply_mapping(source: Tensors, path: Path) -> Renamed:
    """`source` renamed by the JSON file at `path`, strictly.

    The file is an object {old name: new name}, or a list of [regular expression, replacement]: the first expression
    that matches a whole name renames it (\\1 is its first group). Every name must be covered and every line used.

    Raises:
        InputError: no such file, or two tensors would get the same name.
        FormatError: another kind of JSON, or an expression that is none.
        KeyMismatchError: a tensor no line covers, or a line no tensor needs.
    """
    try:
        lines = json.loads(read_bytes(path))
    except ValueError as error:
        raise FormatError(f"{path} is no JSON: {error}") from None
    used: set[int] = set()
    rename, described = _by_table(lines, used) if isinstance(lines, dict) else _by_rules(lines, path, used)
    found = renamed(source, rename)
    covered = set(found.names.values())
    unused = [name for name in source.entries if name not in covered]
    idle = [described[i] for i in range(len(described)) if i not in used]
    if unused or idle:
        raise KeyMismatchError(
            f"the mapping {path} (unused: tensors it does not cover; missing: its idle lines)", idle, unused, {}
        )
    return found


def _by_table(table: dict[str, Any], used: set[int]) -> tuple[Callable[[str], str | None], Sequence[str]]:
    places = {old: i for i, old in enumerate(table)}

    def rename(name: str) -> str | None:
        if name not in places:
            return None
        used.add(places[name])
        return str(table[name])

    return rename, list(table)


def _by_rules(lines: Any, path: Path, used: set[int]) -> tuple[Callable[[str], str | None], Sequence[str]]:
    pairs = isinstance(lines, list) and all(
        isinstance(line, list) and len(line) == 2 and all(isinstance(part, str) for part in line) for line in lines
    )
    if not pairs:
        raise FormatError(f'{path}: expected {{"old": "new", ...}} or [["regular expression", "replacement"], ...]')
    try:
        rules = [(re.compile(pattern), replacement) for pattern, replacement in lines]
    except re.error as error:
        raise FormatError(f"{path}: {error.pattern!r} is no regular expression: {error}") from None

    def rename(name: str) -> str | None:
        for i, (pattern, replacement) in enumerate(rules):
            if match := pattern.fullmatch(name):
                used.add(i)
                return _expanded(match, replacement, path)
        return None

    return rename, [pattern for pattern, _ in lines]


def _expanded(match: re.Match[str], replacement: str, path: Path) -> str:
    try:
        return match.expand(replacement)
    except (re.error, IndexError) as error:
        raise FormatError(f"{path}: the replacement {replacement!r} does not fit its expression: {error}") from None
