import math

import pytest
import torch
from diffusers import DDIMScheduler

from unseen.core.errors import InputError
from unseen.priors.multiview.config import sd21, tiny
from unseen.priors.multiview.ddim import Schedule, denoise, guided

CONFIGS = {
    "epsilon": sd21().scheduler,
    "v": sd21().scheduler | {"prediction_type": "v_prediction"},
    "trailing v, zero terminal": tiny().scheduler,
}


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("steps", [1, 7, 50])
def test_steps_are_diffusers_own(name, steps):
    scheduler = DDIMScheduler(**CONFIGS[name])
    scheduler.set_timesteps(steps)
    schedule = Schedule.of(scheduler)
    times = schedule.timesteps(1.0, steps)
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(2, 4, 3, 3, generator=generator, dtype=torch.float64)
    fake = [torch.randn(2, 4, 3, 3, generator=generator, dtype=torch.float64) for _ in times]
    ours = denoise(schedule, x, times, lambda noisy, t: fake[times.index(t)] + 0.1 * noisy)
    theirs = x
    if 1000 % steps == 0:  # diffusers rounds its stride down, which moves every step but the ends
        assert times == scheduler.timesteps.tolist()
        for k, t in enumerate(scheduler.timesteps):
            theirs = scheduler.step(fake[k] + 0.1 * theirs, t, theirs, eta=0.0).prev_sample
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", CONFIGS)
def test_a_perfect_network_gives_back_the_clean_latents_from_any_time(name):
    schedule = Schedule.of(DDIMScheduler(**CONFIGS[name]))
    generator = torch.Generator().manual_seed(0)
    clean, noise = torch.randn(2, 3, 5, generator=generator, dtype=torch.float64)
    for strength in (0.02, 0.3, 0.98):
        times = schedule.timesteps(strength, None)
        assert len(times) == math.ceil(1000 * strength / 20) and times == sorted(times, reverse=True)

        def oracle(noisy, t):
            signal, sigma = schedule.levels(t)
            epsilon = (noisy - signal * clean) / sigma
            return epsilon if schedule.prediction == "epsilon" else signal * epsilon - sigma * clean

        start = schedule.noised(clean, noise, times[0])
        out = denoise(schedule, start, times, oracle)
        # Stable Diffusion's schedule ends at alpha 0.99915, not at 1: a little of the noise remains
        signal, sigma = schedule.levels(-1)
        torch.testing.assert_close(out, signal * clean + sigma * noise, rtol=1e-6, atol=1e-6)


def test_full_strength_of_a_zero_terminal_schedule_is_noise_alone():
    schedule = Schedule.of(DDIMScheduler(**tiny().scheduler))
    times = schedule.timesteps(1.0, 10)
    assert times[0] == 999
    noise = torch.randn(4)
    assert torch.equal(schedule.noised(torch.full((4,), 1e6), noise, 999), noise) or schedule.levels(999)[0] < 1e-6


def test_guidance_extrapolates_from_the_unconditional():
    assert torch.allclose(guided(torch.tensor([1.0]), torch.tensor([2.0]), 3.0), torch.tensor([4.0]))
    assert torch.allclose(guided(torch.tensor([1.0]), torch.tensor([2.0]), 1.0), torch.tensor([2.0]))


@pytest.mark.parametrize(("strength", "steps"), [(0.0, None), (1.5, 3), (0.5, 0)])
def test_refuses_impossible_schedules(strength, steps):
    schedule = Schedule.of(DDIMScheduler(**tiny().scheduler))
    with pytest.raises(InputError):
        schedule.timesteps(strength, steps)


def test_refuses_other_predictions():
    with pytest.raises(InputError, match="sample"):
        Schedule.of(DDIMScheduler(prediction_type="sample"))
