"""Weights of published networks: reading, converting, checking and comparing them.

`take_apart(open_checkpoint(path).tensors)` finds the networks in a checkpoint, whatever its layout;
`component.in_diffusers()` gives a network's tensors in the layout diffusers loads, strictly, one at a time.
"""

from unseen.priors.weights.checkpoint import Checkpoint, open_checkpoint
from unseen.priors.weights.components import Component, Parts, take_apart
from unseen.priors.weights.convert import ConvertRequest, run_convert
from unseen.priors.weights.inspection import run_inspect
from unseen.priors.weights.inventory import run_verify
from unseen.priors.weights.links import KeyMap, KeyMismatchError
from unseen.priors.weights.published import PUBLISHED, published

__all__ = [
    "PUBLISHED",
    "Checkpoint",
    "Component",
    "ConvertRequest",
    "KeyMap",
    "KeyMismatchError",
    "Parts",
    "open_checkpoint",
    "published",
    "run_convert",
    "run_inspect",
    "run_verify",
    "take_apart",
]
