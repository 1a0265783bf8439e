import pytest
import torch

from small_models import micro_config, micro_model
from unseen.core.errors import FormatError, InputError, ShapeError
from unseen.priors.multiview import MultiViewDiffusion


@pytest.fixture(scope="module")
def model():
    return micro_model()


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def pictures(n, seed=3):
    return torch.rand(n, 32, 32, 3, generator=generator(seed))


def test_samples_are_seeded_images_at_twice_the_size(model):
    who, normals = model.reference(pictures(1)), pictures(2, 4)
    views = model.sample(who, normals, steps=2, generator=generator(), guidance=3.0)
    assert views.shape == (2, 64, 64, 3) and views.min() >= 0 and views.max() <= 1
    assert torch.equal(views, model.sample(who, normals, steps=2, generator=generator(), guidance=3.0))
    assert not torch.equal(views, model.sample(who, normals, steps=2, generator=generator(1), guidance=3.0))
    small = model.sample(who, normals, steps=2, generator=generator(), guidance=3.0, upsample=False)
    assert small.shape == (2, 32, 32, 3)


@pytest.mark.parametrize("side", [32, 64])
@pytest.mark.parametrize("views", [1, 3, 8])
def test_any_number_of_views_and_square_sizes(model, views, side):
    normals = torch.rand(views, side, side, 3, generator=generator())
    who = model.reference(torch.rand(2, side, side, 3, generator=generator(1)))
    out = model.sample(who, normals, steps=1, generator=generator(), upsample=False)
    assert out.shape == normals.shape


def test_guidance_of_one_takes_one_row(model):
    rows = []
    hook = model.unet.register_forward_pre_hook(lambda m, a: rows.append(len(a[0])))
    who, normals = model.reference(pictures(1)), pictures(2)
    model.sample(who, normals, steps=1, guidance=1.0, generator=generator())
    model.sample(who, normals, steps=1, guidance=2.0, generator=generator())
    hook.remove()
    assert rows == [1, 2]


def test_denoising_from_a_render_keeps_more_of_it_the_less_noise(model):
    who, normals, start = model.reference(pictures(1)), pictures(2), pictures(2, 9)
    clean = model.decode(model.encode(start))

    def change(strength):
        out = model.denoise(who, normals, start, strength=strength, generator=generator(), upsample=False, guidance=1.0)
        return float((out - clean).abs().mean())

    assert change(0.02) < change(0.3) < change(0.9)


def test_watchers_see_steps_and_views(model):
    steps, views = [], []
    model.denoise(
        model.reference(pictures(1)), pictures(2), pictures(2), strength=0.5, steps=3, generator=generator(),
        on_step=lambda k, n, x: steps.append((k, n, tuple(x.shape))), on_view=lambda k, image: views.append(k),
    )  # fmt: skip
    assert steps == [(k, 3, (2, 4, 4, 4)) for k in range(3)] and views == [0, 1]


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_score_distillation_has_the_gradient_of_the_paper(prediction):
    """In the latents: w(t) (predicted noise - noise) over their number, with the noise the generator draws."""
    model = micro_model(prediction=prediction)
    who, normals, renders = model.reference(pictures(1)), pictures(2), pictures(2, 5).requires_grad_()
    model.score_distillation(who, normals, renders, t=0.4, guidance=2.0, generator=generator()).backward()
    pixels = renders.detach().clone().requires_grad_()
    latents = model.vae.encode(2 * pixels.permute(0, 3, 1, 2) - 1).latent_dist.mode() * model.vae.config.scaling_factor
    noise = torch.randn(latents.shape, generator=generator())
    t = model.schedule.timesteps(0.4, 1)[0]
    alpha = model.schedule.alphas[t].float()
    noisy = alpha.sqrt() * latents.detach() + (1 - alpha).sqrt() * noise
    predicted = model.predictor(who, model.conditions(normals, None), 2.0)(noisy, t)
    if prediction == "v_prediction":
        predicted = alpha.sqrt() * predicted + (1 - alpha).sqrt() * noisy
    latents.backward((1 - alpha) * (predicted - noise) / latents.numel())
    torch.testing.assert_close(renders.grad, pixels.grad, rtol=1e-4, atol=1e-8)


def test_folders_keep_everything(model, tmp_path):
    model.save_pretrained(tmp_path / "m")
    again = MultiViewDiffusion.from_pretrained(tmp_path / "m")
    assert again.config == model.config
    who, normals = pictures(1), pictures(2)
    a, b = (m.sample(m.reference(who), normals, steps=2, generator=generator()) for m in (model, again))
    assert torch.equal(a, b)


def test_half_precision_folders_load_as_float(model, tmp_path):
    model.save_pretrained(tmp_path / "m", torch.float16)
    again = MultiViewDiffusion.from_pretrained(tmp_path / "m")
    assert again.dtype == torch.float32
    for a, b in zip(model.unet.parameters(), again.unet.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)


def test_wrong_folders_are_told(model, tmp_path):
    with pytest.raises(InputError, match="no model folder"):
        MultiViewDiffusion.from_pretrained(tmp_path / "absent")
    with pytest.raises(InputError, match=r"model_index\.json"):
        MultiViewDiffusion.from_pretrained(tmp_path)
    model.save_pretrained(tmp_path / "m")
    index = tmp_path / "m" / "model_index.json"
    good = index.read_text()
    index.write_text(good.replace("unseen-multiview", "StableDiffusionPipeline"))
    with pytest.raises(InputError, match="another kind"):
        MultiViewDiffusion.from_pretrained(tmp_path / "m")
    index.write_text(good[:40])
    with pytest.raises(FormatError, match="not JSON"):
        MultiViewDiffusion.from_pretrained(tmp_path / "m")


@pytest.mark.parametrize("harm", ["missing", "unused", "shape", "truncated", "absent"])
def test_weights_that_do_not_fit_are_named(model, tmp_path, harm):
    from safetensors.torch import load_file, save_file

    model.save_pretrained(tmp_path / "m")
    path = tmp_path / "m" / "unet" / "diffusion_pytorch_model.safetensors"
    state, name = load_file(path), "model.conv_in.weight"
    if harm == "missing":
        del state[name]
    elif harm == "unused":
        state["stranger.weight"] = torch.zeros(1)
        name = "stranger"
    elif harm == "shape":
        state[name] = torch.zeros(3, 3)
    save_file(state, path)
    if harm == "truncated":
        path.write_bytes(path.read_bytes()[:200])
        name = "does not fit"
    if harm == "absent":
        path.unlink()
        name = "no weights"
    with pytest.raises(InputError, match=name):
        MultiViewDiffusion.from_pretrained(tmp_path / "m")


def test_images_of_odd_shapes_are_refused(model):
    with pytest.raises(ShapeError, match="divisible by 8"):
        model.reference(torch.rand(1, 30, 30, 3))
    with pytest.raises(ShapeError, match="normal maps"):
        model.sample(model.reference(pictures(1)), torch.rand(1, 3, 32, 32), generator=generator())
    with pytest.raises(ShapeError, match="references have latents"):
        model.sample(model.reference(pictures(1)), torch.rand(1, 64, 64, 3), generator=generator())
    with pytest.raises(ShapeError, match="give one"):
        model.sample(model.reference(pictures(1)), None, generator=generator())


def test_cameras_instead_of_normals():
    model = micro_model(cameras=True)
    cameras = torch.eye(4).expand(2, 4, 4)
    views = model.sample(model.reference(pictures(1)), None, cameras=cameras, steps=1, generator=generator())
    assert views.shape == (2, 64, 64, 3)
    assert micro_config(cameras=True).uses_cameras and not micro_config(cameras=True).uses_normals
