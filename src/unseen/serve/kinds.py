"""Kinds of jobs as the server knows them: what they take, what may be set, and the program that does one.

The server itself knows none: the command line hands it a table, so that a kind is added there, and tests bring theirs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

from unseen.core.errors import InputError
from unseen.serve.content import Content

SettingType = Literal["text", "choice", "integer", "number", "flag"]
LONGEST_TEXT = 2000


@dataclass(frozen=True)
class Setting:
    """One thing that may be set.

    Attributes:
        name: of the setting.
        type: of its values.
        help: for people.
        default: what holds when it is not given; None where the job decides.
        choices: of a "choice".
        minimum, maximum: of an "integer" or a "number"; None is unbounded.
    """

    name: str
    type: SettingType
    help: str
    default: str | int | float | bool | None = None
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None

    def check(self, value: Any) -> None:
        """Refuse what is no value of it.

        Raises:
            InputError: wrong type, out of range, or not one of the choices.
        """
        wanted = {
            "text": f"text of at most {LONGEST_TEXT} characters", "choice": f"one of {', '.join(self.choices)}",
            "integer": "an integer", "number": "a number", "flag": "true or false",
        }[self.type]  # fmt: skip
        if not self._fits(value):
            raise InputError(f"setting {self.name} is {value!r:.60}: expected {wanted}")
        if self.type in ("integer", "number"):
            low, high = self.minimum, self.maximum
            if (low is not None and value < low) or (high is not None and value > high):
                raise InputError(f"setting {self.name} is {value!r:.60}: expected {_range(low, high)}")

    def _fits(self, value: Any) -> bool:
        if self.type == "flag":
            return isinstance(value, bool)
        if self.type == "integer":
            return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53
        if self.type == "number":
            return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if not isinstance(value, str) or len(value) > LONGEST_TEXT or "\0" in value:
            return False
        try:
            value.encode()
        except UnicodeEncodeError:  # a lone surrogate: JSON allows it, no program's argument can be one
            return False
        return self.type == "text" or value in self.choices


def _range(low: float | None, high: float | None) -> str:
    if high is None:
        return f"at least {low:g}"
    return f"at most {high:g}" if low is None else f"{low:g} to {high:g}"


@dataclass(frozen=True)
class Input:
    """A file, or several, that a job takes.

    Attributes:
        name: under which it is submitted.
        what: for people.
        contents: what its bytes may be.
        required: whether there is no job without it.
        many: whether several files may come.
    """

    name: str
    what: str
    contents: tuple[Content, ...]
    required: bool = False
    many: bool = False

    @property
    def suffixes(self) -> list[str]:
        """Usual ends of its files' names."""
        return [suffix for content in self.contents for suffix in content.suffixes]


Command = Callable[[Mapping[str, Sequence[Path]], Mapping[str, Any], Path], list[str]]
"""The program of a job: from its input files by name, its settings, and the folder for its results."""


@dataclass(frozen=True)
class Kind:
    """A kind of job.

    The program must be able to be killed at any time and begun again with the same folder, even after its last file and
    before its end was noted. It tells its progress as
    `unseen.jobs.progress.LineReporter` does, prints its errors as the last line of stderr, and exits with 0 when it
    succeeded.

    Attributes:
        name: of the kind.
        title: what it does, for people.
        inputs, settings: what it takes.
        command: the program.
        results: patterns of names below its folder that its client may see; nothing else ever leaves the server.
        previews: of those, pictures worth showing, best first; the last of those that fit is shown.
        check: refuses, as InputError, what no input and no setting shows alone: takes names of the inputs, settings.
    """

    name: str
    title: str
    inputs: tuple[Input, ...]
    settings: tuple[Setting, ...]
    command: Command
    results: tuple[str, ...]
    previews: tuple[str, ...] = ()
    check: Callable[[Mapping[str, int], Mapping[str, Any]], None] = lambda inputs, settings: None

    def input(self, name: str) -> Input:
        """The input of that name.

        Raises:
            InputError: there is none.
        """
        for candidate in self.inputs:
            if candidate.name == name:
                return candidate
        known = ", ".join(i.name for i in self.inputs) or "none"
        raise InputError(f"{self.name} takes no input {name!r:.60}: expected some of {known}")

    def checked(self, settings: Any) -> dict[str, Any]:
        """Settings as they came, without those that are null.

        Raises:
            InputError: no object, an unknown setting, or a value that is none.
        """
        if not isinstance(settings, Mapping):
            raise InputError(f"settings are {type(settings).__name__}: expected an object")
        known = {setting.name: setting for setting in self.settings}
        for name, value in settings.items():
            if name not in known:
                raise InputError(f"{self.name} has no setting {name!r:.60}: expected some of {', '.join(known)}")
            if value is not None:
                known[name].check(value)
        return {name: value for name, value in settings.items() if value is not None}

    def check_complete(self, inputs: Mapping[str, int], settings: Mapping[str, Any]) -> None:
        """Refuse a submission that lacks something; `inputs` counts files by name.

        Raises:
            InputError: a required input is missing, or several came where one may.
        """
        for expected in self.inputs:
            count = inputs.get(expected.name, 0)
            if expected.required and not count:
                raise InputError(f"{self.name} needs the input {expected.name}: {expected.what}")
            if count > 1 and not expected.many:
                raise InputError(f"{count} files came as {expected.name}: expected one")
        self.check(inputs, settings)

    def shows(self, name: str) -> bool:
        """Whether a file of its folder, by its posix name there, is a result."""
        hidden = any(part.startswith(".") for part in name.split("/"))
        return not hidden and any(_fits(name, pattern) for pattern in self.results)

    def preview(self, names: Sequence[str]) -> str | None:
        """The picture to show, of the results there are."""
        for pattern in self.previews:
            if found := sorted(name for name in names if _fits(name, pattern)):
                return found[-1]
        return None


def _fits(name: str, pattern: str) -> bool:
    return name.count("/") == pattern.count("/") and fnmatchcase(name, pattern)
