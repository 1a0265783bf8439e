"""Fitting Gaussians to images: losses, metrics, optimisers, densification and the training loop, a module each."""
