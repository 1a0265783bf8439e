"""Difix against recordings: joint attention over a render and its reference, and the one step."""

import torch

from unseen.priors.fixer.difix import sd_turbo
from unseen.priors.fixer.difix.unet import mixing_unet
from unseen.priors.multiview.ddim import Schedule

T = 199


def unet_of(recording):
    config = {k: tuple(v) if isinstance(v, list) else v for k, v in recording.config["unet"].items()}
    unet = mixing_unet(config)
    unet.load_state_dict(recording.weights("state_dict_unet/"), strict=True)
    return unet.eval()


def schedule_of(constants):
    from diffusers import DDIMScheduler

    return Schedule.of(DDIMScheduler(**(sd_turbo().scheduler | constants)))


@torch.no_grad()
def test_mixing_unet(gsvar):
    recording = gsvar("difix_a")
    unet, latent, text = unet_of(recording), recording["latent"], recording["text"]
    assert recording["timestep"].tolist() == [T] and sd_turbo().timestep == T

    def predict(latents, views):
        return unet(latents, T, text, cross_attention_kwargs={"num_frames": views}).sample

    handles = watch(recording, unet)
    eps = predict(latent, 2)
    for handle in handles:
        handle.remove()
    recording.check("eps", eps)
    recording.check("eps_no_mixing", predict(latent, 1))
    recording.check("eps_reference_negated", predict(latent * torch.tensor([1.0, -1.0])[:, None, None, None], 2))
    check_step(recording, eps)
    assert not recording.unchecked()


def watch(recording, unet):
    """Check what passes through the first transformer block and the time embedding."""
    block = unet.down_blocks[0].attentions[0].transformer_blocks[0]

    def joined(tokens):
        return tokens.flatten(0, 1)[None]

    def attention(module, args, output):
        recording.check("block/attn1_in", joined(args[0]))
        recording.check("block/attn1_out", joined(output))

    def whole(module, args, output):
        recording.check("block/hidden_in", args[0])
        recording.check("block/hidden_out", output)

    def time(name):
        return lambda module, args, output: recording.check(name, output[:1])

    return [
        block.attn1.register_forward_hook(attention),
        block.register_forward_hook(whole),
        unet.time_proj.register_forward_hook(time("time_sinusoid")),
        unet.time_embedding.register_forward_hook(time("time_embedding")),
    ]


def check_step(recording, eps):
    constants = recording.config["scheduler_constants"]
    assert constants.items() <= sd_turbo().scheduler.items()
    schedule = schedule_of(constants)
    recording.check("x0_from_unet", schedule.clean_and_noise(recording["latent"], eps, T)[0])
    noise, noisy = recording["x0_eps"], recording["x0_z"]
    recording.check("x0_t199", schedule.clean_and_noise(noisy, noise, T)[0])
    recording.check("x0_t200_off_by_one", schedule.clean_and_noise(noisy, noise, T + 1)[0])
    recording.check("alphas_cumprod_198_199_200", schedule.alphas[T - 1 : T + 2])
    ends = [constants["beta_start"] ** 0.5, constants["beta_end"] ** 0.5]
    betas = torch.linspace(*ends, constants["num_train_timesteps"], dtype=torch.float64).square()
    exact = (1 - betas).cumprod(0)
    recording.check("alphas_cumprod_f64", exact[T - 1 : T + 2])
    assert (schedule.alphas - exact).abs().max() < 1e-6
