"""The embedded head: a parametric human head of this package's own, with FLAME's interface and nothing to download."""

from unseen.head.procedural.load import EXPRESSION_NAMES, SHAPE_NAMES, VARIANT, procedural_head

__all__ = ["EXPRESSION_NAMES", "SHAPE_NAMES", "VARIANT", "procedural_head"]
