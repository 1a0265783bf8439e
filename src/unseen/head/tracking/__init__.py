"""Head tracking: from landmarks, mattes and pixels of a monocular video to the parameters of a head model.

The recipe, all frames batched: closed-form rigid poses, a dense landmark fit of shared shape and focal length with
per-frame pose and expression, silhouettes from the matte with a per-vertex identity offset, photometric refinement
coarse to fine, and a quality report. First principles; no code of any other tracker.
"""

from unseen.head.tracking.observations import Observations, load_alphas, load_landmarks
from unseen.head.tracking.report import TrackReport, evaluate_track
from unseen.head.tracking.state import Track, TrackConfig
from unseen.head.tracking.tracker import track_head

__all__ = [
    "Observations",
    "Track",
    "TrackConfig",
    "TrackReport",
    "evaluate_track",
    "load_alphas",
    "load_landmarks",
    "track_head",
]
