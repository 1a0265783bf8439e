"""The commands that `unseen serve` offers, as its kinds of jobs: help, defaults and bounds are the commands' own.

A command is offered by one entry of `RECIPES`. Only what stands there can be set from outside: nothing that names a
file, a folder, a device or a program of the server.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from unseen.cli.main import COMMANDS
from unseen.cli.parameters import Parameter, parameters_of
from unseen.core.errors import InputError
from unseen.io.scene import FORMATS
from unseen.jobs import render
from unseen.jobs.convert import PAGE
from unseen.jobs.world import compose
from unseen.jobs.world.outputs import SCENE_FILES
from unseen.serve.content import ARRAYS, AVATAR, CAMERAS, GAUSSIANS, PICTURE, REQUEST, VIDEO, Content
from unseen.serve.kinds import Command, Input, Kind, Setting, SettingType


@dataclass(frozen=True)
class Recipe:
    """How a command becomes a kind.

    Attributes:
        inputs: what may come as which parameter of the command.
        settings: parameters that may be set.
        results, previews: see `Kind`.
        out: the parameter that takes where results go, and the name below their folder; empty: the folder itself. May
            hold a setting of `extra` in braces.
        many: inputs of which several files may come: the parameter gets their folder.
        names: parameters of inputs that are not called like them.
        choices: of parameters that take any text, those offered.
        texts: parameters that really take any text.
        most: bounds that the command does not have.
        fixed: options that are always given.
        extra: settings that are no parameters.
        check: see `Kind`.
    """

    inputs: Mapping[str, tuple[Content, ...]]
    settings: tuple[str, ...]
    results: tuple[str, ...]
    previews: tuple[str, ...] = ()
    out: tuple[str, str] = ("out", "")
    many: tuple[str, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    choices: Mapping[str, Sequence[str]] = field(default_factory=dict)
    texts: tuple[str, ...] = ()
    most: Mapping[str, int] = field(default_factory=dict)
    fixed: tuple[str, ...] = ()
    extra: tuple[Setting, ...] = ()
    check: Callable[[Mapping[str, int], Mapping[str, Any]], None] = lambda inputs, settings: None


def _world_asks_for_something(inputs: Mapping[str, int], settings: Mapping[str, Any]) -> None:
    """A request file brings everything, without one a prompt or a picture is needed."""
    prompt, own = settings.get("prompt", "").strip(), [i for i in ("image", "cameras") if i in inputs]
    if "input" in inputs and (prompt or own):
        raise InputError("input brings its own prompt, picture and cameras: leave them out")
    if not ("input" in inputs or "image" in inputs or prompt):
        raise InputError("a world needs a prompt, an image, or a request file as input")


_ENDINGS = (*(f.ending for f in FORMATS if f.save and f.ending.startswith(".")), PAGE)

RECIPES = {
    "avatar": Recipe(
        inputs={"video": (VIDEO,), "landmarks": (ARRAYS,), "alpha": (VIDEO,)},
        settings=("quality", "iterations", "prior", "holdout", "max_side", "focal", "seed"),
        choices={"prior": ("tiny", "mirror", "none"), "holdout": ("none", "every:8", "side")},
        most={"iterations": 100_000},
        fixed=("--resume",),
        results=(
            "avatar.safetensors", "avatar.ply", "viewer.html", "turntable.mp4", "comparison.mp4", "overlay.mp4",
            "metrics.json", "*.png", "*.jpg",
        ),
        previews=("preview.*",),
    ),
    "world": Recipe(
        inputs={"image": (PICTURE,), "cameras": (CAMERAS,), "input": (REQUEST,)},
        settings=(
            "prompt", "image_index", "path", "reach", "fov", "views", "size", "seed", "steps", "feedback", "preview",
            "window", "overlap", "least_opacity", "budget", "refine", "ply", "spz", "video", "html", "fps", "seconds",
        ),
        choices={"path": compose.PATHS}, texts=("prompt", "size"), most={"views": 500, "fps": 120, "seconds": 600},
        results=(*SCENE_FILES, "cameras.json", "views/*.png", "depth/*.png", "preview.*"),
        previews=("views/*.png", "preview.*"),
        check=_world_asks_for_something,
    ),
    "fit": Recipe(
        inputs={"photos": (PICTURE, VIDEO)}, many=("photos",),
        settings=(
            "quality", "steps", "strategy", "max_splats", "frames", "scale", "max_side", "holdout", "sh_degree",
            "random_background", "antialiased", "absgrad", "compensation", "export", "seed",
        ),
        texts=("export",), most={"steps": 100_000, "max_splats": 10_000_000, "frames": 2000, "max_side": 4096},
        fixed=("--resume", "--no-tensorboard"),
        results=("scene.*", "viewer.html", "metrics.json", "preview.*"), previews=("preview.*",),
    ),
    "repair": Recipe(
        inputs={"photos": (PICTURE, VIDEO)}, many=("photos",),
        settings=(
            "fixer", "steps", "max_splats", "rounds", "views", "references", "angle", "weight", "scale", "max_side",
            "holdout", "keep", "export", "seed",
        ),
        choices={"fixer": ("tiny", "none")}, texts=("export",),
        most={
            "steps": 100_000, "max_splats": 10_000_000, "rounds": 100, "views": 1000, "references": 16,
            "max_side": 4096,
        },
        fixed=("--resume",),
        results=(
            "scene.*", "raw.ply", "viewer.html", "before*.mp4", "after.mp4", "before_after.jpg", "preview.*",
            "metrics.json",
        ),
        previews=("before_after.jpg", "preview.*"),
    ),
    "drive": Recipe(
        inputs={"avatar": (AVATAR,), "motion": (VIDEO,), "landmarks": (ARRAYS,), "alpha": (VIDEO,)},
        settings=("seed",), out=("out", "driven.mp4"), results=("driven.mp4", "*.json"),
    ),
    "convert": Recipe(
        inputs={"source": (GAUSSIANS,)}, settings=("up", "sh_degree", "max_splats"),
        extra=(Setting("format", "choice", "File to write.", ".spz", _ENDINGS),), out=("target", "scene{format}"),
        results=("scene.*",),
    ),
    "render": Recipe(
        inputs={"source": (GAUSSIANS,), "cameras": (CAMERAS,)},
        names={"cameras": "path"},
        settings=("path", "num_frames", "fps", "width", "height", "radius", "elevation", "fov", "background"),
        choices={"path": render.PATHS}, most={"num_frames": 5000, "fps": 240, "width": 4096, "height": 4096},
        out=("out", "video.mp4"), results=("video.mp4",),
    ),
}  # fmt: skip


def all_kinds(given: Sequence[str] = ()) -> dict[str, Kind]:
    """The kinds by name.

    Args:
        given: options that the server's owner sets for all jobs of a kind, as KIND.OPTION=VALUE.

    Raises:
        InputError: no such kind or option.
    """
    fixed: dict[str, list[str]] = {name: [] for name in RECIPES}
    for text in given:
        place, equals, value = text.partition("=")
        name, dot, option = place.partition(".")
        if not (equals and dot) or name not in RECIPES:
            raise InputError(f"--set {text!r}: expected KIND.OPTION=VALUE, of {', '.join(RECIPES)}")
        parameter = parameters_of(name).get(option.replace("-", "_"))
        if parameter is None or not parameter.words:
            raise InputError(f"--set {text!r}: unseen {name} has no such option")
        fixed[name].append(parameter.written(value if parameter.type is not bool else value.lower() == "true"))
    return {name: as_kind(name, recipe, fixed[name]) for name, recipe in RECIPES.items()}


def as_kind(name: str, recipe: Recipe, fixed: Sequence[str] = ()) -> Kind:
    """A command as a kind."""
    parameters = parameters_of(name)
    inputs = tuple(
        Input(i, p.help, contents, p.required, i in recipe.many)
        for i, contents in recipe.inputs.items()
        if (p := parameters[recipe.names.get(i, i)])
    )
    settings = tuple(_setting(parameters[s], recipe) for s in recipe.settings) + recipe.extra
    return Kind(
        name, COMMANDS[name], inputs, settings, _command(name, recipe, parameters, fixed), recipe.results,
        recipe.previews, recipe.check,
    )  # fmt: skip


def _setting(parameter: Parameter, recipe: Recipe) -> Setting:
    """A parameter as a setting, with its own help, default and bounds."""
    name = parameter.name
    default = parameter.default.value if isinstance(parameter.default, Enum) else parameter.default
    choices = tuple(recipe.choices.get(name, parameter.choices))
    if choices:
        return Setting(name, "choice", parameter.help, default, choices)
    if parameter.type is str and name not in recipe.texts:
        raise TypeError(f"the parameter {name} takes any text: say which, or list it under texts")
    kind = _TYPES[parameter.type]
    most = recipe.most.get(name, parameter.maximum)
    return Setting(name, kind, parameter.help, default, minimum=parameter.minimum, maximum=most)


_TYPES: dict[Any, SettingType] = {bool: "flag", int: "integer", float: "number", str: "text"}


def _command(name: str, recipe: Recipe, parameters: Mapping[str, Parameter], fixed: Sequence[str]) -> Command:
    extra = {setting.name: setting.default for setting in recipe.extra}
    target, below = recipe.out

    def command(inputs: Mapping[str, Sequence[Path]], settings: Mapping[str, Any], out: Path) -> list[str]:
        values: dict[str, Any] = {k: v for k, v in settings.items() if k not in extra}
        values |= {recipe.names.get(k, k): _path_of(files, k in recipe.many) for k, files in inputs.items()}
        values[target] = out / below.format(**{k: settings.get(k, v) for k, v in extra.items()}) if below else out
        places = [str(values.pop(k)) for k, p in parameters.items() if not p.words and k in values]
        options = [word for k, v in values.items() if (word := parameters[k].written(v))]
        return [sys.executable, "-m", "unseen", name, *places, *options, *recipe.fixed, *fixed, "--json"]

    return command


def _path_of(files: Sequence[Path], many: bool) -> Path:
    """One file, or the folder of several; a single video is a file."""
    alone = len(files) == 1 and not (many and files[0].suffix in PICTURE.suffixes)
    return files[0] if alone else files[0].parent
