"""Lines for clients: no place of the server's disk in them."""

from __future__ import annotations

import re

_PATH = re.compile(r"(?<![\w/.:-])/(?:[^\s/'\"]+/)+([^\s/'\"]*)")
LONGEST = 500


def without_paths(text: str) -> str:
    """One line, with every absolute path cut to its last part."""
    return _PATH.sub(lambda match: match[1] or "a folder", " ".join(text.split()))[:LONGEST]
