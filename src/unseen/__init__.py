"""Reconstruct in 3D what the cameras never saw: 3D Gaussian splatting joined with generative priors."""

import os

# torch and the compiled kernels each keep a thread pool: a waiting one must sleep, not spin on the other's cores.
# OpenMP reads this when torch is imported, so `unseen` should be imported first.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

__version__ = "0.1.0"
