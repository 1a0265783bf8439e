"""Multi-view head diffusion (GAF, arXiv 2412.10209, section 4.1)."""

from unseen.priors.multiview.config import MultiViewConfig
from unseen.priors.multiview.framing import HeadPlace, cropped, normal_images
from unseen.priors.multiview.pipeline import MultiViewDiffusion, Reference

__all__ = ["HeadPlace", "MultiViewConfig", "MultiViewDiffusion", "Reference", "cropped", "normal_images"]
