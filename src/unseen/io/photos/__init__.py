"""Posed photos: reading projects, decoding pictures, keeping them at hand, holding some out."""

from unseen.io.photos.load import load_photos
from unseen.io.photos.picture import load_photo
from unseen.io.photos.split import split_photos
from unseen.io.photos.store import HeldPictures, PictureStore
from unseen.io.photoset import Photo, PhotoSet, Picture

__all__ = ["HeldPictures", "Photo", "PhotoSet", "Picture", "PictureStore", "load_photo", "load_photos", "split_photos"]
