"""Captions of little worlds: natural phrases with parts left out, from a small vocabulary.

Grammar, with [ ] for what may be left out, | for a choice, and LIST for "A", "A and B", "A, B and C" in any order:

    room       = PLACE ["at night"] ["with" LIST]  |  LIST "in" PLACE ["at night"] ["with" COLOR "walls"]
    PLACE      = "a" [COLOR of the walls] "room" | "an interior" | "a bedroom" (with a bed) | "a living room" (a sofa)
    in LIST    = COLOR "walls" | "a" FLOOR "floor" | "a" COLOR "carpet" | "a window" | "two windows" | "a" [COLOR] NOUN
    landscape  = GROUND [WEATHER] ["with" LIST]  |  LIST "in" GROUND [WEATHER]
    GROUND     = "a landscape" | "a meadow" | "a snowy landscape" | ... (GROUNDS)
    WEATHER    = "at sunset" | "under a clear sky" | ... (WEATHERS)
    in LIST    = "a pine tree" | "pine trees" | "a small white house with a red roof" | "mountains in the distance" | ...
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

import numpy as np

from unseen.synthetic.worlds.palette import COLORS
from unseen.synthetic.worlds.things import Thing

NOUNS: dict[str, tuple[tuple[str, str], ...]] = {
    "window": (("window", "windows"),),
    "curtains": (("curtains", "curtains"),),
    "door": (("door", ""),),
    "rug": (("rug", ""),),
    "bed": (("bed", ""),),
    "sofa": (("sofa", ""), ("couch", "")),
    "table": (("table", ""),),
    "chair": (("chair", ""),),
    "lamp": (("lamp", ""), ("floor lamp", "")),
    "plant": (("plant", ""), ("potted plant", "")),
    "bookcase": (("bookcase", ""), ("bookshelf", "")),
    "cupboard": (("cupboard", ""), ("cabinet", "")),
    "picture": (("picture", ""), ("painting", "")),
    "tree": (("tree", "trees"),),
    "pine": (("pine tree", "pine trees"), ("pine", "pines")),
    "palm": (("palm tree", "palm trees"), ("palm", "palms")),
    "cactus": (("cactus", "cactuses"),),
    "rock": (("rock", "rocks"), ("stone", "stones")),
    "bush": (("bush", "bushes"),),
    "house": (("house", ""), ("cottage", "")),
    "lake": (("lake", ""), ("pond", "")),
    "path": (("path", ""),),
}
"""What things are called, one and several (empty where there never are)."""
ALWAYS_SEVERAL = ("curtains",)
GROUNDS = {
    "": ("a landscape",),
    "meadow": ("a meadow", "a green meadow", "a grassy landscape", "a green landscape"),
    "desert": ("a desert", "a sandy desert", "a desert landscape"),
    "snow": ("a snowy landscape", "a winter landscape", "a snowy field"),
    "beach": ("a beach", "a sandy beach", "a sea shore"),
}
WEATHERS = {
    "clear": ("under a clear sky", "under a blue sky", "on a sunny day"),
    "sunset": ("at sunset", "in the evening", "under an orange sky"),
    "cloudy": ("under a cloudy sky", "on a cloudy day"),
    "night": ("at night", "under a night sky", "by moonlight"),
}
FAR = {
    "hills": ("hills", "hills in the distance", "hills at the horizon"),
    "mountains": ("mountains", "mountains in the distance", "mountains at the horizon"),
    "sea": ("the sea", "water"),
}
ROOMS, BEDROOM, LIVING_ROOM = ("a room", "an interior"), "a bedroom", "a living room"
JOINTS = ("with", "and", "in", "a", "an", "two", "room", "at night", "small", "roof")
FLOORS = ("wooden floor", "tiled floor", "checkered floor", "floor", "carpet", "walls")
VISIBLE_SHARE = 0.004
"""Captions name only what fills at least this share of some view."""


def vocabulary() -> tuple[str, ...]:
    """Every word that a caption may hold, sorted."""
    tables = (GROUNDS, WEATHERS, FAR)
    phrases = [p for table in tables for options in table.values() for p in options]
    phrases += [name for forms in NOUNS.values() for pair in forms for name in pair]
    phrases += [*ROOMS, BEDROOM, LIVING_ROOM, *JOINTS, *FLOORS, *COLORS]
    return tuple(sorted({word for phrase in phrases for word in words(phrase)}))


def words(caption: str) -> list[str]:
    """The words of a caption, without commas and capitals."""
    return re.findall(r"[a-z]+", caption.lower())


def caption_room(things: Iterable[Thing], time: str, rng: np.random.Generator, *, full: bool = False) -> str:
    """One way to describe a room of which these things are seen.

    Args:
        things: that are seen.
        time: "night" or empty.
        rng: of the choice of words and of what is left out.
        full: leave nothing out.
    """
    seen = list(things)
    keep = 1.0 if full else float(rng.uniform(0, 1))
    nouns = {thing.noun for thing in seen}
    place = _one(rng, (*ROOMS, *[BEDROOM] * (2 * ("bed" in nouns)), *[LIVING_ROOM] * (2 * ("sofa" in nouns))))
    wall = next((thing.color for thing in seen if thing.noun == "walls"), "")
    items = []
    walls = f"{wall} walls" if wall and rng.uniform() < keep else ""
    if walls and not full and place == "a room" and rng.uniform() < 0.25:
        place, walls = f"{article(wall)} room", ""
    floor = next((thing for thing in seen if thing.noun == "floor"), None)
    if floor is not None and rng.uniform() < keep:
        items.append(_floor(floor, rng))
    things_only = _things([t for t in seen if t.noun not in ("walls", "floor", "ceiling")], keep, rng)
    night = " at night" if time == "night" and rng.uniform() < keep else ""
    if things_only and not full and not items and rng.uniform() < 0.3:
        return f"{_listed(things_only, rng)} in {place}{night}{f' with {walls}' if walls else ''}"
    items += things_only + ([walls] if walls else [])
    return f"{place}{night}{f' with {_listed(items, rng)}' if items else ''}"


def caption_landscape(things: Iterable[Thing], time: str, rng: np.random.Generator, *, full: bool = False) -> str:
    """One way to describe a landscape; `time` is a key of WEATHERS, else as `caption_room`."""
    seen = list(things)
    keep = 1.0 if full else float(rng.uniform(0, 1))
    nouns = {thing.noun for thing in seen}
    ground = next((noun for noun in GROUNDS if noun in nouns and rng.uniform() < max(keep, 0.4)), "")
    place = _one(rng, GROUNDS[ground])
    weather = f" {_one(rng, WEATHERS[time])}" if rng.uniform() < keep else ""
    items = _things([thing for thing in seen if thing.noun in NOUNS], keep, rng)
    far = [_one(rng, FAR[noun]) for noun in FAR if noun in nouns and rng.uniform() < keep]
    if items and not far and not full and rng.uniform() < 0.2:
        where = "on" if ground == "beach" else "in"
        return f"{_listed(items, rng)} {where} {place}{weather}"
    items += far
    return f"{place}{weather}{f' with {_listed(items, rng)}' if items else ''}"


def article(phrase: str) -> str:
    """The phrase with a or an before it."""
    return f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"


def _one(rng: np.random.Generator, options: tuple[str, ...]) -> str:
    return options[int(rng.integers(len(options)))]


def _listed(items: list[str], rng: np.random.Generator) -> str:
    """Items in any order."""
    order = [items[i] for i in rng.permutation(len(items))]
    return order[0] if len(order) == 1 else f"{', '.join(order[:-1])} and {order[-1]}"


def _floor(floor: Thing, rng: np.random.Generator) -> str:
    if floor.detail == "wooden":
        return "a wooden floor"
    if floor.detail == "checkered":
        other = f"{floor.color} and white checkered floor"
        return article(other) if rng.uniform() < 0.6 else "a checkered floor"
    if floor.detail == "tiled":
        return article(f"{floor.color} tiled floor") if rng.uniform() < 0.6 else "a tiled floor"
    return article(f"{floor.color} {'carpet' if rng.uniform() < 0.5 else 'floor'}")


def _things(things: list[Thing], keep: float, rng: np.random.Generator) -> list[str]:
    """Phrases for things, alike ones together."""
    groups = Counter((thing.noun, thing.color, thing.detail) for thing in things)
    return [_thing(*group, count, rng) for group, count in groups.items() if rng.uniform() < keep]


def _thing(noun: str, color: str, detail: str, count: int, rng: np.random.Generator) -> str:
    one, several = NOUNS[noun][int(rng.integers(len(NOUNS[noun])))]
    shade = f"{color} " if color and rng.uniform() < 0.85 else ""
    if noun in ALWAYS_SEVERAL:
        return f"{shade}{several}"
    if count > 1:
        two = "two " if count == 2 and (noun == "window" or rng.uniform() < 0.4) else ""
        return f"{two}{shade}{several}"
    if noun == "house":
        roof = f" with {article(detail)} roof" if rng.uniform() < 0.6 else ""
        return article(f"{'small ' if rng.uniform() < 0.5 else ''}{shade}{one}{roof}")
    return article(f"{shade}{one}")
