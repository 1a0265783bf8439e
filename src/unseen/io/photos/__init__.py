"""Posed photos: reading projects, decoding pictures, keeping them at hand, holding some out."""

from unseen.io.photoset import Photo, PhotoSet, Picture

__all__ = ["Photo", "PhotoSet", "Picture"]
