"""Looking at results: one HTML file that plays offline (`static`), and a live page fed by this process (`live`)."""

from unseen.viewer.static import AnimatedSplats, write_viewer

__all__ = ["AnimatedSplats", "write_viewer"]
