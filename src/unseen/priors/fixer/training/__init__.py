"""Training of fixers: the truth's tokens from a render and photos, then the bridge."""
