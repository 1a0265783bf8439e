"""Projects of COLMAP: cameras, pictures and points, binary or text."""

from unseen.io.colmap.project import find_model, read_colmap, read_model, write_colmap

__all__ = ["find_model", "read_colmap", "read_model", "write_colmap"]
