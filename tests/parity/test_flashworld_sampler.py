"""FlashWorld's four steps with feedback against a recording, with a stand-in for the renderer."""

import pytest
import torch
from test_flashworld_networks import activated, codec_of, decoder_of, transformer_of

from unseen.priors.world import sampling
from unseen.priors.world.cameras import normalized, ray_map
from unseen.priors.world.sampling import TIMESTEPS, Conditions, Networks, noise_levels, sample


@pytest.fixture
def recording(flashworld):
    return flashworld("sampler_a")


class Draws:
    """The recorded random numbers in the order they were drawn."""

    def __init__(self, recording, steps):
        self.left = [recording["noise_0"]]
        for k in range(1, steps):
            self.left += [recording[f"posterior_eps_{k}"], recording[f"noise_{k}"]]

    def __call__(self, shape):
        found = self.left.pop(0)
        found = found[:, :, 0] if len(shape) == 4 else found
        assert tuple(found.shape) == shape
        return found


class StandIn:
    """The recording's renderer: colours linear in the Gaussians and in the camera."""

    def __init__(self, recording, cameras):
        self.a, self.b, self.d = (recording[f"render_{k}"] for k in "AbD")
        self.cameras, self.config = cameras, recording.config
        self.images = []

    def __call__(self, gaussians):
        n, height, width = (self.config[k] for k in ("n_frame", "height", "width"))
        points = activated(gaussians).reshape(n, 2, height // 2, width // 2, 38).mean(1)
        colours = self.b + points @ self.a.T + (self.cameras @ self.d.T)[:, None, None]
        image = colours.clamp(-1, 1).repeat_interleave(2, 1).repeat_interleave(2, 2)
        self.images.append(image.permute(0, 3, 1, 2)[None])
        return image / 2 + 0.5


def run(recording, monkeypatch, prefix, with_image):
    """The steps of one run, each checked."""
    path, frame = normalized(recording["cameras"])
    if with_image:
        recording.check("cameras_normalized", path[None])
        recording.check("ref_w2c", torch.linalg.inv(frame.reference)[None, None])
        recording.check("T_norm", frame.extent[None, None, None])
    networks = Networks(
        transformer_of(recording, "transformer."), codec_of(recording, "vae.", decoder=False),
        decoder_of(recording, "recon_decoder."),
    )  # fmt: skip
    size = [recording.config[k] // networks.codec.downsampling for k in ("height", "width")]
    rays = ray_map(path, *size).transpose(0, 1)[None]
    condition = torch.zeros_like(recording["noise_0"])
    if with_image:
        recording.check("raymaps", rays)
        image = recording["image"].permute(1, 2, 0)[None] / 2 + 0.5
        index = recording.config["image_index"]
        condition[:, :, index] = networks.codec.encode(image, recording["posterior_eps_image"][:, :, 0])
        recording.check("condition_latents", condition)
    steps = []

    def predict(transformer, noisy, level, conditions, feedback):
        found = predict_one(transformer, noisy, level, conditions, feedback)
        k = len(steps)
        steps.append(found)
        recording.check(f"{prefix}step{k}/noisy_latents", noisy)
        recording.check(f"{prefix}step{k}/velocity", found.velocity)
        recording.check(f"{prefix}step{k}/feats", found.features)
        recording.check(f"{prefix}step{k}/latents_pred_2d", found.clean)
        if k:
            recording.check(f"{prefix}step{k - 1}/latents_pred_3d", feedback.rendered)
        return found

    predict_one = sampling.predict
    monkeypatch.setattr(sampling, "predict", predict)
    levels = noise_levels(4)
    render = StandIn(recording, path)
    conditions = Conditions(path[None], rays, condition, recording["text_embeds"])
    gaussians = sample(networks, conditions, levels, Draws(recording, len(levels)), render)
    assert len(steps) == 4
    return activated(gaussians), levels, render.images


@torch.no_grad()
def test_four_steps(recording, monkeypatch):
    with monkeypatch.context() as patch:
        points, levels, images = run(recording, patch, "", True)
    recording.check("scene_params", points)
    recording.check("sigmas", torch.tensor(levels))
    recording.check("timesteps", TIMESTEPS * torch.tensor(levels))
    for k, image in enumerate(images):
        recording.check(f"step{k}/images", image)
    with monkeypatch.context() as patch:
        points, _, _ = run(recording, patch, "text_only/", False)
    first = points.reshape(recording.config["n_frame"], 2, -1, 38)[0, 0]
    recording.check("text_only/scene_params_first_view_first_point", first)
    assert not recording.unchecked()
