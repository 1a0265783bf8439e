"""Settings of a fit from a file and from the command line."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

from unseen.core.errors import FormatError, InputError
from unseen.fit.config import Compensation, FitConfig, Initialisation, StrategyName
from unseen.fit.strategies import mcmc

_CHOICES = {"strategy": StrategyName, "compensation": Compensation, "init": Initialisation}


def fit_settings(path: Path | None, options: Mapping[str, Any], given: Collection[str]) -> FitConfig:
    """Settings of a fit.

    Args:
        path: JSON with some of `FitConfig`'s fields, or a whole config.json of a run; None for none.
        options: what the command line says, defaults included.
        given: the options somebody wrote: they win over the file, the file over the other options.

    Raises:
        InputError: no such file, or a setting that does not exist or has no such value.
        FormatError: it is no JSON object.
    """
    settings = dict(options) | _read(path) | {name: options[name] for name in given}
    known = {field.name: field for field in fields(FitConfig)}
    for name, value in settings.items():
        if name not in known:
            raise InputError(f"there is no setting {name!r}: expected some of {', '.join(known)}")
        default = known[name].default
        fits = isinstance(value, float | int) if isinstance(default, float) else type(value) is type(default)
        if not fits:
            raise InputError(f"setting {name} is {value!r}: expected something like {default!r}")
        if name in _CHOICES and value not in get_args(_CHOICES[name]):
            raise InputError(f"setting {name} is {value!r}: expected one of {', '.join(get_args(_CHOICES[name]))}")
    if settings.get("strategy") == "mcmc":
        settings = mcmc.PENALTIES | settings
    return FitConfig(**settings)


def _read(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        content = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise InputError(f"cannot read the settings {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise FormatError(f"{path} is not a JSON file: {error}") from error
    if not isinstance(content, dict):
        raise FormatError(f"{path} holds no settings: expected a JSON object")
    content = content.get("fit", content)
    if not isinstance(content, dict):
        raise FormatError(f'{path} holds no settings: expected an object under "fit"')
    return content
