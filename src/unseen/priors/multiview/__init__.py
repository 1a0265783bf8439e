"""Multi-view head diffusion (GAF, arXiv 2412.10209, section 4.1)."""
