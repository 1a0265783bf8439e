"""Places that do not exist, photographed with exact truth: a room, a table of things, a courtyard; and a real garden.

`film_scene("room", folder)` does all of it: images, depth, transforms.json and a COLMAP model.
"""

from unseen.synthetic.scenes.catalogue import SCENES, Plan, film_garden, film_scene, plan_of
from unseen.synthetic.scenes.film import Shot, shoot
from unseen.synthetic.scenes.folder import Album, photograph, write_album
from unseen.synthetic.scenes.garden import Garden, Orbit, fitted_orbit, garden, garden_cameras, shoot_splats
from unseen.synthetic.scenes.scene import Scene, SceneBuilder
from unseen.synthetic.scenes.walks import dome, focal_px, stroll

__all__ = [
    "SCENES",
    "Album",
    "Garden",
    "Orbit",
    "Plan",
    "Scene",
    "SceneBuilder",
    "Shot",
    "dome",
    "film_garden",
    "film_scene",
    "fitted_orbit",
    "focal_px",
    "garden",
    "garden_cameras",
    "photograph",
    "plan_of",
    "shoot",
    "shoot_splats",
    "stroll",
    "write_album",
]
