"""COLMAP's camera models: their numbers, names and parameters, as lenses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from unseen.core.errors import FormatError, InputError
from unseen.io.lens import Lens


@dataclass(frozen=True)
class Model:
    """One camera model.

    Attributes:
        number: in binary files.
        parameters: names in the order of the file; "f" is both focal lengths, n1.. and d1.. the coefficients of r², r⁴,
            ... in numerator and denominator, p1 p2 tangential, sx sy the prism.
        fisheye: whether it measures angles.
    """

    number: int
    parameters: tuple[str, ...]
    fisheye: bool = False


def _model(number: int, parameters: str, fisheye: bool = False) -> Model:
    return Model(number, tuple(parameters.split()), fisheye)


MODELS = {
    "SIMPLE_PINHOLE": _model(0, "f cx cy"),
    "PINHOLE": _model(1, "fx fy cx cy"),
    "SIMPLE_RADIAL": _model(2, "f cx cy n1"),
    "RADIAL": _model(3, "f cx cy n1 n2"),
    "OPENCV": _model(4, "fx fy cx cy n1 n2 p1 p2"),
    "OPENCV_FISHEYE": _model(5, "fx fy cx cy n1 n2 n3 n4", fisheye=True),
    "FULL_OPENCV": _model(6, "fx fy cx cy n1 n2 p1 p2 n3 d1 d2 d3"),
    "SIMPLE_RADIAL_FISHEYE": _model(8, "f cx cy n1", fisheye=True),
    "RADIAL_FISHEYE": _model(9, "f cx cy n1 n2", fisheye=True),
    "THIN_PRISM_FISHEYE": _model(10, "fx fy cx cy n1 n2 p1 p2 n3 n4 sx sy", fisheye=True),
    "SIMPLE_FISHEYE": _model(14, "f cx cy", fisheye=True),
    "FISHEYE": _model(15, "fx fy cx cy", fisheye=True),
}

_OTHERS = {
    7: "FOV",
    11: "RAD_TAN_THIN_PRISM_FISHEYE",
    12: "SIMPLE_DIVISION",
    13: "DIVISION",
    16: "EUCM",
    17: "EQUIRECTANGULAR",
}


def name_of(number: int) -> str:
    """Name of a model by its number in binary files.

    Raises:
        InputError: a model of COLMAP's that is not read here.
        FormatError: no model at all.
    """
    for name, model in MODELS.items():
        if model.number == number:
            return name
    if number in _OTHERS:
        raise _unsupported(_OTHERS[number])
    raise FormatError(f"camera model {number} is none of COLMAP's")


def num_parameters(name: str) -> int:
    """How many numbers a model has.

    Raises:
        InputError: a model of COLMAP's that is not read here.
        FormatError: no model at all.
    """
    if name in _OTHERS.values():
        raise _unsupported(name)
    if name not in MODELS:
        raise FormatError(f"camera model {name!r} is none of COLMAP's")
    return len(MODELS[name].parameters)


def lens_of(name: str, width: int, height: int, parameters: Sequence[float]) -> Lens:
    """The lens of a camera.

    Args:
        name: of the model.
        width, height: size of the picture in pixels.
        parameters: in the order of the file.

    Raises:
        InputError: a model that is not read here.
        FormatError: wrong count of parameters, or numbers no lens has.
    """
    if len(parameters) != num_parameters(name):
        raise FormatError(f"a {name} camera has {num_parameters(name)} parameters, got {len(parameters)}")
    model = MODELS[name]
    given = {key: float(value) for key, value in zip(model.parameters, parameters, strict=True)}

    def series(letter: str) -> tuple[float, ...]:
        return tuple(given[f"{letter}{i}"] for i in range(1, 5) if f"{letter}{i}" in given)

    return Lens(
        width,
        height,
        (given.get("fx", given.get("f", 0.0)), given.get("fy", given.get("f", 0.0))),
        (given["cx"], given["cy"]),
        series("n"),
        series("d"),
        (given.get("p1", 0.0), given.get("p2", 0.0)),
        (given.get("sx", 0.0), given.get("sy", 0.0)),
        model.fisheye,
    )


def _unsupported(name: str) -> InputError:
    return InputError(
        f"COLMAP's camera model {name} is not read here: undistort the pictures with COLMAP's image_undistorter first, "
        f"or solve with one of {', '.join(MODELS)}"
    )
