"""Structure from motion: cameras of pictures or a video that come without (extra `sfm`)."""

from unseen.io.sfm.report import SolveReport
from unseen.io.sfm.solve import solve_cameras

__all__ = ["SolveReport", "solve_cameras"]
