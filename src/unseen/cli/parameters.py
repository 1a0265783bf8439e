"""What a command takes, read off its function: the same annotations that typer reads."""

from __future__ import annotations

import importlib
import inspect
import types
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from typer.models import ArgumentInfo, OptionInfo, ParameterInfo


@dataclass(frozen=True)
class Parameter:
    """One argument or option of a command.

    Attributes:
        name: in the function.
        words: of the option, such as `--frames`, and what negates a flag; none for an argument.
        type: of its value; what may be None, without that.
        help: for people.
        required: whether the command must have it.
        default: None where there is none.
        minimum, maximum: of a number.
    """

    name: str
    words: tuple[str, ...]
    type: Any
    help: str
    required: bool
    default: Any
    minimum: float | None
    maximum: float | None

    @property
    def choices(self) -> tuple[str, ...]:
        """Values of an enumeration."""
        listed = isinstance(self.type, type) and issubclass(self.type, Enum)
        return tuple(str(member.value) for member in self.type) if listed else ()

    def written(self, value: Any) -> str:
        """The option with its value, in one word, so that no value is taken for an option; empty for a flag that needs
        no word."""
        if self.type is bool:
            positive, _, negative = self.words[0].partition("/")
            return positive if value else negative
        return f"{self.words[-1]}={value}"


def parameters_of(command: str) -> dict[str, Parameter]:
    """The parameters of a command of `unseen`, by name, in their order."""
    run: Callable[..., None] = importlib.import_module(f"unseen.cli.{command}").run
    hints = get_type_hints(run, include_extras=True)
    found = {}
    for name, parameter in inspect.signature(run).parameters.items():
        plain, *notes = get_args(hints[name]) if get_origin(hints[name]) is Annotated else (hints[name],)
        info = next((note for note in notes if isinstance(note, ParameterInfo)), None)
        if info is not None:
            found[name] = _parameter(name, plain, info, parameter.default)
    return found


def _parameter(name: str, plain: Any, info: ParameterInfo, default: Any) -> Parameter:
    if get_origin(plain) in (Union, types.UnionType):
        plain = next(part for part in get_args(plain) if part is not type(None))
    missing = default is inspect.Parameter.empty
    words: tuple[str, ...] = ()
    if isinstance(info, OptionInfo):
        first = (info.default,) if isinstance(info.default, str) and info.default.startswith("-") else ()
        usual = f"--{name.strip('_').replace('_', '-')}"
        words = (*first, *(info.param_decls or ())) or (f"{usual}/--no{usual[1:]}" if plain is bool else usual,)
    assert isinstance(info, ArgumentInfo | OptionInfo)
    return Parameter(
        name, words, plain, " ".join((info.help or "").split()), missing, None if missing else default, info.min,
        info.max,
    )  # fmt: skip
