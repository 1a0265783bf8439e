"""Places that do not exist, photographed with exact truth: a room, a table of things, a courtyard, and a real garden."""

from unseen.synthetic.scenes.film import Shot, shoot
from unseen.synthetic.scenes.folder import Album, photograph, write_album
from unseen.synthetic.scenes.scene import Scene, SceneBuilder
from unseen.synthetic.scenes.walks import dome, focal_px, stroll

__all__ = ["Album", "Scene", "SceneBuilder", "Shot", "dome", "focal_px", "photograph", "shoot", "stroll", "write_album"]
