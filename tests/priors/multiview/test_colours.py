"""Colours an autoencoder loses come back where the reference had them."""

import pytest
import torch

from small_models import micro_model
from unseen.priors.multiview.colours import LostColours

BLOND, MAGENTA = torch.tensor([0.8, 0.7, 0.4]), torch.tensor([0.7, 0.2, 0.6])
BROWN, GREY = torch.tensor([0.6, 0.5, 0.45]), torch.tensor([0.4, 0.4, 0.45])


def person(hair, cloth, left=16, right=48):
    """A block of hair above one of cloth, on white."""
    image = torch.ones(64, 64, 3)
    image[10:30, left:right], image[30:60, left:right] = hair, cloth
    return image


def test_other_views_get_the_colours_of_the_reference():
    lost = LostColours.of(person(BLOND, MAGENTA)[None], person(BROWN, GREY)[None])
    aside, truth = person(BROWN, GREY, 5, 30), person(BLOND, MAGENTA, 5, 30)
    restored = lost.restored(aside[None])[0]
    assert (restored - truth).abs().mean() < 0.15 * (aside - truth).abs().mean()
    assert torch.equal(restored[:, 40:], aside[:, 40:])  # white stays


def test_alike_colours_are_told_by_their_height():
    lost = LostColours.of(person(BLOND, MAGENTA)[None], person(GREY, GREY)[None])
    restored = lost.restored(person(GREY, GREY)[None])[0]
    torch.testing.assert_close(restored[12, 20], BLOND, atol=0.1, rtol=0)
    torch.testing.assert_close(restored[55, 20], MAGENTA, atol=0.1, rtol=0)


@pytest.mark.parametrize("picture", [person(BLOND, MAGENTA), torch.ones(64, 64, 3)])
def test_nothing_lost_changes_nothing(picture):
    lost = LostColours.of(picture[None], picture[None])
    view = person(BROWN, GREY)
    torch.testing.assert_close(lost.restored(view[None])[0], view)


def test_models_restore_what_they_say():
    """As a whole: of the picture's own encoding comes the picture's mean colour, not the autoencoder's."""
    model, plain = micro_model(restores=True), micro_model()
    picture = person(BLOND, MAGENTA)[::2, ::2][None]
    assert plain.reference(picture).lost is None
    options = {"strength": 0.02, "guidance": 1.0, "upsample": False}
    normals = torch.rand(1, 32, 32, 3, generator=torch.Generator().manual_seed(0))
    inside = (picture < 0.97).any(-1)

    def off(prior):
        """How far the mean colour of what comes back is off."""
        generator = torch.Generator().manual_seed(1)
        image = prior.denoise(prior.reference(picture), normals, picture, generator=generator, **options)
        return (image[inside].mean(0) - picture[inside].mean(0)).abs().max()

    assert off(model) < 0.5 * off(plain)
