"""How splats are added and removed during a fit."""
