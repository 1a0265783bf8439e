import pytest
import torch

from small_models import micro_config
from unseen.core.errors import ShapeError
from unseen.priors.multiview.attention import KeyValueCache
from unseen.priors.multiview.config import MultiViewConfig
from unseen.priors.multiview.unet import MultiViewUNet


@pytest.fixture(scope="module")
def unet():
    torch.manual_seed(0)
    return MultiViewUNet(micro_config()).double().eval().requires_grad_(False)


def inputs(views=3, references=1, batch=2):
    g = torch.Generator().manual_seed(1)

    def draw(*shape):
        return torch.randn(*shape, generator=g, dtype=torch.float64)

    return {
        "latents": draw(batch, views, 4, 4, 4),
        "timesteps": torch.tensor([7.0, 800.0])[:batch].double(),
        "tokens": draw(batch, 4, 16),
        "normals": draw(batch, views, 4, 4, 4),
        "references": draw(batch, references, 4, 4, 4),
    }


def test_views_are_a_set(unet):
    given = inputs()
    order = torch.tensor([2, 0, 1])
    moved = given | {"latents": given["latents"][:, order], "normals": given["normals"][:, order]}
    torch.testing.assert_close(unet(**moved), unet(**given)[:, order])


def test_samples_of_a_batch_do_not_mix(unet):
    given = inputs()
    alone = {k: v[1:] for k, v in given.items()}
    torch.testing.assert_close(unet(**alone), unet(**given)[1:])


@pytest.mark.parametrize("part", ["latents", "normals", "references", "tokens", "timesteps"])
def test_every_view_depends_on_every_condition(unet, part):
    given = inputs()
    changed = given[part].clone()
    if part in ("latents", "normals", "references"):
        changed[:, 0] += 0.5
    else:
        changed += 0.5 if part == "tokens" else 100
    difference = (unet(**(given | {part: changed})) - unet(**given)).abs().flatten(2).amax(-1)
    assert (difference > 1e-6).all()


def test_one_view_without_references_is_diffusers_own_network(unet):
    """With one frame, dense attention is plain self-attention; image tokens alone as plain context."""
    from diffusers import UNet2DConditionModel
    from diffusers.models.attention_processor import AttnProcessor2_0

    given = inputs(views=1)
    plain = UNet2DConditionModel(**unet.config.unet).double().eval()
    state = {k: v for k, v in unet.model.state_dict().items() if "processor" not in k}
    for name, processor in unet.attention_processors.items():
        if name.endswith("attn2"):
            state[f"{name}.to_k.weight"] = processor.to_k_ip[0].weight
            state[f"{name}.to_v.weight"] = processor.to_v_ip[0].weight
    plain.load_state_dict(state)
    plain.set_attn_processor(AttnProcessor2_0())
    frames = torch.cat([given["latents"], given["normals"]], 2)[:, 0]
    expected = plain(frames, given["timesteps"], given["tokens"]).sample
    given.pop("references")
    torch.testing.assert_close(unet(**given)[:, 0], expected)


def test_a_concatenated_reference_stands_beside_every_view_and_nowhere_else(unet):
    """Latents, normals, reference in every view's input; a reference's own has its latents and zeros."""
    torch.manual_seed(0)
    wide = MultiViewUNet(micro_config(concatenates=True)).double().eval().requires_grad_(False)
    given, seen = inputs(references=2), []
    hook = wide.model.conv_in.register_forward_pre_hook(lambda m, a: seen.append(a[0].unflatten(0, (2, -1))))
    wide(**given)
    wide(**given | {"references": None})
    hook.remove()
    first = given["references"][:, :1].expand(-1, 3, -1, -1, -1)
    assert torch.equal(seen[0][:, :3], torch.cat([given["latents"], given["normals"], first], 2))
    assert torch.equal(seen[0][:, 3:, :4], given["references"]) and not seen[0][:, 3:, 4:].any()
    assert seen[1].shape[1] == 3 and not seen[1][:, :, 8:].any()
    state = unet.state_dict()
    state["model.conv_in.weight"] = torch.cat([state["model.conv_in.weight"], torch.zeros(16, 4, 3, 3)], 1)
    wide.load_state_dict(state)
    torch.testing.assert_close(wide(**given), unet(**given))  # with zeros for it, GAF's network


def test_cached_keys_change_nothing(unet):
    given, cache = inputs(), KeyValueCache()
    plain = unet(**given)
    for _ in range(2):
        torch.testing.assert_close(unet(**given, cache=cache), plain)
    assert len(cache) > 0


def test_image_weight_zero_leaves_the_tokens_out(unet):
    given = inputs()
    unet.set_image_weight(0.0)
    without = unet(**given)
    torch.testing.assert_close(unet(**(given | {"tokens": given["tokens"] * 3})), without)
    unet.set_image_weight(1.0)
    assert not torch.allclose(unet(**given), without)


def test_control_residuals_are_added(unet):
    given = inputs(batch=1, views=1)
    skips = [(16, 4), (16, 4), (16, 2), (16, 2), (16, 1), (32, 1)]
    down = [torch.zeros(2, channels, side, side).double() for channels, side in skips]
    middle = torch.zeros(2, 32, 1, 1).double()
    torch.testing.assert_close(unet(**given, down_residuals=down, mid_residual=middle), unet(**given))
    for residual in (down[0], middle):
        residual += torch.randn(residual.shape, generator=torch.Generator().manual_seed(0)).double()
        changed = unet(**given, down_residuals=down, mid_residual=middle)
        assert not torch.allclose(changed, unet(**given))
        residual.zero_()


def test_cameras_steer_where_normals_do_not():
    torch.manual_seed(0)
    unet = MultiViewUNet(micro_config(cameras=True)).double().eval()
    given = inputs()
    given.pop("normals")
    cameras = torch.eye(4, dtype=torch.float64).expand(2, 3, 4, 4).clone()
    plain = unet(**given, cameras=cameras)
    cameras[:, 0, 0, 3] = 1
    assert not torch.allclose(unet(**given, cameras=cameras), plain)
    with pytest.raises(ShapeError, match="camera poses"):
        unet(**given)


def test_missing_or_needless_normals_are_refused(unet):
    given = inputs()
    with pytest.raises(ShapeError, match="normal maps"):
        unet(**(given | {"normals": None}))
    with pytest.raises(ShapeError, match="normals have shape"):
        unet(**(given | {"normals": given["normals"][:, :2]}))


def test_the_full_size_is_stable_diffusion_s_with_more_input_and_image_keys():
    config = MultiViewConfig.named("sd21")
    with torch.device("meta"):
        unet = MultiViewUNet(config)
    extra = sum(p.numel() for k, p in unet.named_parameters() if "_ip" in k)
    total = sum(p.numel() for p in unet.parameters())
    assert total - extra == 865_922_244  # diffusers' SD 2.1 U-Net with 8 input channels
    assert extra == sum(2 * 1024 * c for c in [320] * 5 + [640] * 5 + [1280] * 6)
