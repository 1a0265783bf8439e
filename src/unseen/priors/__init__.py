"""Generative priors: networks, samplers, their weights and training recipes."""
