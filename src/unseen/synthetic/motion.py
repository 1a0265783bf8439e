"""How a head moves: turning, talking, blinking, looking and smiling, as smooth seeded curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from unseen.core.errors import InputError
from unseen.core.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from unseen.head.model import HeadModel
from unseen.head.params import HeadParams
from unseen.head.procedural import EXPRESSION_NAMES

BODY_SHARE = 0.28  # part of a head turn that the shoulders take over

_BOTH = ("left", "right")


def _pair(name: str, value: float) -> dict[str, float]:
    return {f"{name}_{side}": value for side in _BOTH}


VISEMES: Mapping[str, tuple[float, dict[str, float]]] = MappingProxyType(
    {
        "a": (0.14, {"lips_part": 0.5, **_pair("mouth_lower_down", 0.35)}),
        "e": (0.09, {"lips_part": 0.55, **_pair("mouth_stretch", 0.3), **_pair("mouth_upper_up", 0.2)}),
        "i": (0.05, {"lips_part": 0.55, **_pair("mouth_smile", 0.28), **_pair("mouth_stretch", 0.2)}),
        "o": (0.11, {"mouth_funnel": 0.55, "mouth_pucker": 0.25}),
        "u": (0.05, {"mouth_pucker": 0.6, "mouth_funnel": 0.25}),
        "m": (0.0, {**_pair("mouth_press", 0.45), "mouth_roll_lower": 0.15}),
        "f": (0.03, {"mouth_roll_lower": 0.45, **_pair("mouth_upper_up", 0.2)}),
        "s": (0.04, {"lips_part": 0.45, **_pair("mouth_stretch", 0.12)}),
    }
)
"""Mouth shapes of speech: jaw angle in radians and expression coefficients."""


@dataclass(frozen=True)
class Motion:
    """T frames of movement of any head.

    Attributes:
        fps: frames per second.
        angles_rad: yaw (positive turns to the subject's left), pitch (positive nods down) and roll of the head against
            its rest direction, [T, 3].
        sway_m: displacement of the body, [T, 3].
        jaw_rad: opening of the jaw, [T].
        gaze_rad: yaw and pitch of the eyes in the head, [T, 2].
        eyelids: 0 open to 1 closed, left and right, [T, 2].
        expression: coefficients by name, see `unseen.head.procedural.EXPRESSION_NAMES`, each [T].
    """

    fps: float
    angles_rad: Float[np.ndarray, "T 3"]
    sway_m: Float[np.ndarray, "T 3"]
    jaw_rad: Float[np.ndarray, "T"]
    gaze_rad: Float[np.ndarray, "T 2"]
    eyelids: Float[np.ndarray, "T 2"]
    expression: Mapping[str, Float[np.ndarray, "T"]]

    def __len__(self) -> int:
        return len(self.jaw_rad)

    @classmethod
    def sample(
        cls,
        seed: int,
        num_frames: int,
        *,
        fps: float = 25.0,
        max_yaw_deg: float = 60.0,
        turns: Sequence[tuple[float, float]] | None = None,
    ) -> Motion:
        """Random talking with head turns.

        Args:
            seed: equal seeds give equal motion.
            num_frames: T.
            fps: frames per second.
            max_yaw_deg: how far the head turns to either side.
            turns: (time in seconds, yaw in degrees) to pass through; random ones when None.
        """
        rng = np.random.default_rng([seed, 0x307104])
        time = np.arange(num_frames) / fps
        if turns is None:
            turns = _random_turns(rng, float(time[-1]) if num_frames else 0.0, max_yaw_deg)
        yaw = np.radians(_through(time, turns)) + np.radians(1.6) * _drift(rng, time, 0.5)
        pitch = np.radians(3.0) * _drift(rng, time, 0.45) + np.radians(1.2) * _drift(rng, time, 1.6)
        roll = np.radians(2.2) * _drift(rng, time, 0.4) - 0.05 * yaw
        jaw, expression = _speech(rng, time)
        smile = np.clip(0.34 + 0.3 * _drift(rng, time, 0.25), 0.08, 0.8)
        for name, amount in (("mouth_smile", 0.65), ("cheek_squint", 0.45)):
            for side in _BOTH:
                expression[f"{name}_{side}"] = expression.get(f"{name}_{side}", 0.0) + amount * smile
        raised = np.clip(0.9 * _drift(rng, time, 0.5), 0, 1)
        for name, amount in (("brow_inner_up", 0.12), ("brow_outer_up", 0.28)):
            for side in _BOTH:
                expression[f"{name}_{side}"] = amount * raised
        gaze = _gaze(rng, time, yaw, pitch)
        return cls(
            fps=fps,
            angles_rad=np.stack([yaw, pitch, roll], 1),
            sway_m=np.stack([0.005 * _drift(rng, time, 0.3) for _ in range(3)], 1),
            jaw_rad=jaw,
            gaze_rad=gaze,
            eyelids=_blinks(rng, time, gaze[:, 1]),
            expression=expression,
        )

    @classmethod
    def neutral(cls, num_frames: int, fps: float = 25.0) -> Motion:
        """No motion at all."""
        zeros = np.zeros
        t = num_frames
        return cls(fps, zeros((t, 3)), zeros((t, 3)), zeros(t), zeros((t, 2)), zeros((t, 2)), {})

    def params(self, model: HeadModel, shape: Float[Tensor, "S"]) -> HeadParams:
        """Parameters of `model` for this motion and an identity.

        Raises:
            InputError: the model's expression space is not the procedural head's.
        """
        if model.num_expr != len(EXPRESSION_NAMES):
            raise InputError(
                f"motion needs the {len(EXPRESSION_NAMES)} named expressions of the procedural head, "
                f"but head model {model.variant!r} has {model.num_expr} of its own"
            )
        expr = np.zeros((len(self), len(EXPRESSION_NAMES)))
        for name, curve in self.expression.items():
            expr[:, EXPRESSION_NAMES.index(name)] = curve
        body, neck = _turned(self.angles_rad * BODY_SHARE), _turned(self.angles_rad * (1 - BODY_SHARE))
        gaze = np.stack([self.gaze_rad[:, 1], self.gaze_rad[:, 0], np.zeros(len(self))], 1)
        jaw = np.zeros((len(self), 3))
        jaw[:, 0] = self.jaw_rad
        fields = {
            "expr": expr,
            "jaw_pose": jaw,
            "eyes_pose": np.concatenate([gaze, gaze], 1),
            "translation": self.sway_m,
            "eyelids": self.eyelids,
        }
        tensors = {name: torch.from_numpy(value).to(model.dtype) for name, value in fields.items()}
        return HeadParams(shape=shape, rotation=body.to(model.dtype), neck_pose=neck.to(model.dtype), **tensors)


def _turned(angles: np.ndarray) -> Float[Tensor, "T 3"]:
    """Axis-angle vectors of Ry(yaw) Rx(pitch) Rz(roll)."""
    axes = torch.eye(3, dtype=torch.float64)
    yaw, pitch, roll = (torch.from_numpy(np.ascontiguousarray(angles[:, i : i + 1])) for i in range(3))
    parts = [axis_angle_to_matrix(a * axes[i]) for a, i in ((yaw, 1), (pitch, 0), (roll, 2))]
    return matrix_to_axis_angle(parts[0] @ parts[1] @ parts[2])


def _random_turns(rng: np.random.Generator, duration: float, max_yaw_deg: float) -> list[tuple[float, float]]:
    turns = [(0.0, float(rng.normal(scale=4.0)))]
    side = 1 if rng.uniform() < 0.5 else -1
    while turns[-1][0] < duration:
        at = turns[-1][0] + float(rng.uniform(0.7, 1.6))
        turns.append((at, side * max_yaw_deg * float(rng.uniform(0.35, 1.0))))
        turns.append((at + float(rng.uniform(0.1, 0.5)), turns[-1][1]))
        if rng.uniform() < 0.5:
            at = turns[-1][0] + float(rng.uniform(0.6, 1.1))
            turns.append((at, float(rng.normal(scale=6.0))))
        side = -side
    return turns


def _through(time: np.ndarray, keys: Sequence[tuple[float, float]]) -> np.ndarray:
    """Minimum-jerk moves between (time, value) keys (Flash and Hogan 1985), constant before and after."""
    out = np.full(len(time), float(keys[0][1]))
    for (t0, a), (t1, b) in pairwise(keys):
        s = np.clip((time - t0) / max(t1 - t0, 1e-6), 0, 1)
        out = np.where(time >= t0, a + (b - a) * s**3 * (10 - 15 * s + 6 * s * s), out)
    return out


def _drift(rng: np.random.Generator, time: np.ndarray, rate_hz: float) -> np.ndarray:
    """Smooth random curve of unit size: five sines around a rate."""
    rates = rate_hz * rng.uniform(0.4, 1.5, 5)
    phases = rng.uniform(0, 2 * np.pi, 5)
    return np.sin(2 * np.pi * rates[:, None] * time + phases[:, None]).sum(0) / 2.5


def _speech(rng: np.random.Generator, time: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Syllables at about five a second, in phrases; neighbouring mouth shapes melt into each other."""
    jaw = np.zeros(len(time))
    expression: dict[str, np.ndarray] = {}
    names, at = list(VISEMES), 0.5
    while len(time) and at < time[-1] + 0.3:
        for k in range(int(rng.integers(5, 14))):
            name = names[int(rng.integers(len(names)))] if k % 2 else names[int(rng.integers(5))]
            strength, width = rng.uniform(0.6, 1.1), rng.uniform(0.075, 0.11)
            weight = strength * np.exp(-0.5 * ((time - at) / width) ** 2)
            opening, shape = VISEMES[name]
            jaw += opening * weight
            for key, value in shape.items():
                expression[key] = expression.get(key, np.zeros(len(time))) + value * weight
            at += float(rng.uniform(0.09, 0.2))
        at += float(rng.uniform(0.25, 0.6))
    return np.minimum(jaw, 0.35), {key: np.clip(value, 0, 1) for key, value in expression.items()}


def _gaze(rng: np.random.Generator, time: np.ndarray, yaw: np.ndarray, pitch: np.ndarray) -> np.ndarray:
    """Eyes stay on the camera as far as they comfortably turn, with small saccades."""
    follow = np.stack([-np.clip(0.55 * yaw, -0.42, 0.42), -0.5 * pitch], 1)
    jump, at = np.zeros((len(time), 2)), 0.0
    while len(time) and at < time[-1]:
        jump[time >= at] = rng.normal(scale=[0.05, 0.025])
        at += float(rng.uniform(0.4, 1.4))
    kernel = np.array([0.25, 0.5, 0.25])
    smooth = np.stack([np.convolve(np.pad(jump[:, i], 1, "edge"), kernel, "valid") for i in range(2)], 1)
    return follow + smooth.reshape(follow.shape)


def _blinks(rng: np.random.Generator, time: np.ndarray, gaze_pitch: np.ndarray) -> np.ndarray:
    """Blinks every two to four seconds, fast to close and slower to open; lids follow the gaze down a little."""
    closed = np.clip(0.1 + 0.5 * gaze_pitch, 0.0, 0.3)
    at = float(rng.uniform(0.6, 1.6))
    while len(time) and at < time[-1]:
        phase = time - at
        pulse = np.where(phase < 0, np.exp(-((phase / 0.055) ** 2)), np.exp(-((phase / 0.085) ** 2)))
        closed = np.maximum(closed, pulse)
        at += float(rng.uniform(1.6, 3.8))
    return np.stack([closed, closed], 1)
