"""Reconstruct in 3D what the cameras never saw: 3D Gaussian splatting joined with generative priors."""

__version__ = "0.1.0"
