"""Which photos structure from motion placed, and what to do about the others."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from unseen.core.errors import FormatError, InputError
from unseen.io.images import read_image
from unseen.io.sfm.features import num_features, num_partners
from unseen.io.sfm.settings import Run

FEW_FEATURES = 100
"""Fewer are hardly matched."""
LEAST_PHOTOS = 3
_SHOWN = 5


@dataclass(frozen=True)
class SolveReport:
    """Outcome of structure from motion.

    Attributes:
        photos: how many there were.
        registered: how many were placed.
        failed: the others by name, with the reason and what to do.
        points: how many 3D points.
        reprojection_error_px: mean over the points, at the size features were found at.
    """

    photos: int
    registered: int
    failed: dict[str, str]
    points: int
    reprojection_error_px: float

    def lines(self) -> list[str]:
        """For a person to read."""
        text = [
            f"{self.registered} of {self.photos} photos placed, {self.points} points, "
            f"mean reprojection error {self.reprojection_error_px:.2f} px"
        ]
        text += [f"left out: {name}: {why}" for name, why in list(self.failed.items())[:_SHOWN]]
        if len(self.failed) > _SHOWN:
            text.append(f"left out: {len(self.failed) - _SHOWN} more, see report.json")
        return text

    def check(self, work: Path, min_share: float) -> None:
        """Raise InputError unless at least `min_share` of the photos, and `LEAST_PHOTOS`, were placed."""
        if self.registered >= max(LEAST_PHOTOS, min_share * self.photos):
            return
        reasons = sorted(set(self.failed.values()), key=list(self.failed.values()).count, reverse=True)
        raise InputError(
            f"only {self.registered} of {self.photos} photos could be placed, expected {min_share:.0%} and at least "
            f"{LEAST_PHOTOS}. Most often: {reasons[0] if reasons else 'there are too few photos'}. "
            f"{work / 'report.json'} names each photo"
        )


def explain(run: Run, placed: set[str]) -> dict[str, str]:
    """Reasons for the pictures that were not placed, by their own names."""
    features, partners = num_features(run), num_partners(run)
    return {
        own: _reason(run.pictures / name, features[name], partners[name])
        for name, own in run.original.items()
        if name not in placed
    }


def _reason(path: Path, features: int | None, partners: int) -> str:
    if not features:
        try:
            read_image(path)
        except FormatError:
            return "the file is damaged: copy it again"
    if (features or 0) < FEW_FEATURES:
        return f"only {features or 0} features found: it is blurred, dark or shows bare surfaces, retake it"
    if not partners:
        return "it overlaps no other photo: add photos between it and its neighbours"
    return "its place is not certain: it overlaps too little with the photos placed, add photos around it"
