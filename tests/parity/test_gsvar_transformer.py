"""GS-VAR's transformer against recordings: positions and masks at full size, teacher forcing, decoding, refiner."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from unseen.priors.fixer.config import FixerConfig
from unseen.priors.fixer.quantizer import MultiScaleQuantizer
from unseen.priors.fixer.refiner import Process, Refiner, sinusoids
from unseen.priors.fixer.rope import frequencies, level_bounds, level_ids, positions, rope_table
from unseen.priors.fixer.transformer import REFERENCE, RENDER, FixerTransformer


def config_of(recording):
    """The small networks that were recorded."""
    c, plain = recording.config, FixerConfig.named("varsr")
    vqvae = plain.vqvae | {"ch": c.get("ch", 4), "groups": c.get("groups", 2), "z": c["Cvae"], "codebook": c["V"]}
    sizes = {"depth": c["depth"], "width": c["embed_dim"], "heads": c["num_heads"], "prefix": tuple(c["con_channels"])}
    return replace(
        plain,
        image_size=16 * c["patch_nums"][-1],
        patch_nums=tuple(c["patch_nums"]),
        phi_map=tuple(c["phi_map"]),
        vqvae=vqvae,
        transformer=plain.transformer | sizes | {"mlp_ratio": c["mlp_ratio"]},
        refiner=plain.refiner | {"width": c["refiner_width"], "depth": c["refiner_depth"]},
    )


def transformer_of(recording):
    network = FixerTransformer(config_of(recording))
    network.load_state_dict(recording.weights("var_wo_ddp/"), strict=True)
    return network.eval()


def quantizer_of(recording):
    config = config_of(recording)
    sizes = config.vqvae
    network = MultiScaleQuantizer(config.patch_nums, config.phi_map, sizes["z"], sizes["codebook"], sizes["phis"])
    weights = recording.weights("vae_local/quantize.")
    network.load_state_dict({"ema_vocab_hit_SV": network.ema_vocab_hit_SV} | weights, strict=True)
    return network.eval()


def kinds_of(items, views):
    return torch.tensor([[RENDER, REFERENCE][:views]]).expand(items, -1)


def causal(levels):
    return levels[:, None] >= levels[None]


def packed(mask):
    return hashlib.sha256(np.packbits(mask.numpy()).tobytes()).hexdigest()


def test_positions_and_levels_at_full_size(gsvar):
    recording = gsvar("rope_mask_full_a")
    sides, head = recording.config["patch_nums"], recording.config["head_dim"]
    rows = recording["rows"].long()
    cos, sin = rope_table(sides, head)
    where = positions(sides)
    recording.check("rows_cos", cos[rows])
    recording.check("rows_sin", sin[rows])
    weights = torch.arange(len(cos), dtype=torch.float64) % 97 + 1
    for name, table in {"cos": cos.double(), "sin": sin.double()}.items():
        recording.check(f"colsum_{name}", table.sum(0))
        recording.check(f"colsum_weighted_{name}", weights @ table)
    recording.check("theta", frequencies(head))
    recording.check("coord_row", where[rows, 0])
    recording.check("coord_col", where[rows, 1])
    levels = level_ids(sides)
    recording.check("level_ids", levels)
    recording.check("begin_ends", torch.tensor(level_bounds(sides)))
    mask = causal(levels)
    recording.check("mask_rows_single", mask[rows])
    recording.check("keys_per_row_single", mask.sum(1))
    pair = causal(levels.repeat(2))
    recording.check("keys_per_row_pair", pair.sum(1))
    assert packed(mask) == recording.about["measured"]["mask_single_sha256_packbits_row_major"]
    assert packed(pair) == recording.about["measured"]["mask_pair_sha256_packbits_row_major"]
    assert not recording.unchecked()


class Forced:
    """A teacher-forced pass over recorded tokens."""

    def __init__(self, recording, items, views, joint=None):
        self.recording, self.items, self.views = recording, items, views
        self.network, self.quantizer = transformer_of(recording), quantizer_of(recording)
        if joint is not None:
            self.network.joint = [k in joint for k in range(len(self.network.joint))]
        names = ("render", "reference")[:views]
        self.kinds = kinds_of(items, views)
        self.pictures = torch.stack([recording[n][:items] for n in names], 1)
        scales = range(len(recording.config["patch_nums"]))
        self.indices = [torch.stack([recording[f"{n}_idx_{k}"][:items].long() for n in names], 1) for k in scales]

    def inputs(self):
        side = self.recording.config["patch_nums"][-1]
        flat = [found.flatten(0, 1) for found in self.indices]
        return self.quantizer.inputs(flat, (side, side)).unflatten(0, (self.items, self.views))

    @torch.no_grad()
    def run(self):
        return self.network(self.pictures, self.inputs(), self.kinds)

    def losses(self, found):
        """Of the render: cross-entropy, and the refiner's."""
        truth = torch.cat([each[:, 0] for each in self.indices], 1)
        last = self.indices[-1].shape[-1]
        entries = self.quantizer.embed(found.logits[:, 0, -last:].argmax(-1))
        told = self.network.refiner_condition(found.hidden[:, 0, -last:], entries)
        target = self.recording["render_last_residual"][: self.items] - entries
        count = 4 * self.items * last
        steps, noise = (
            t.unflatten(0, (4, -1))[:, : self.items * last].flatten(0, 1)
            for t in (self.recording["diff_t"], self.recording["diff_noise"])
        )
        assert len(steps) == count
        parts = (target.flatten(0, 1).repeat(4, 1), told.flatten(0, 1).repeat(4, 1))
        squared, bits = self.network.diffloss.losses(*parts, steps.long(), noise)
        return cross_entropy(found.logits[:, 0].flatten(0, 1), truth.flatten()), (squared + bits).mean()


@pytest.mark.parametrize(
    ("run", "items", "views"), [("noref_b1", 1, 1), ("noref_b2", 2, 1), ("ref_b1", 1, 2), ("ref_b2", 2, 2)]
)
@torch.no_grad()
def test_teacher_forcing(gsvar, run, items, views):
    recording = gsvar("var_forward_a")
    forced = Forced(recording, items, views)
    found = forced.run()
    recording.check(f"{run}/logits", found.logits.flatten(0, 1))
    entropy, refining = forced.losses(found)
    recording.check(f"{run}/ce_loss_render", entropy)
    recording.check(f"{run}/diff_loss_render", refining)


@torch.no_grad()
def test_views_that_see_each_other_in_some_blocks_alone(gsvar):
    recording = gsvar("var_forward_a")
    forced = Forced(recording, 1, 2, recording.config["partial_fusion"])
    found = forced.run()
    recording.check("ref_partial_b1/logits", found.logits.flatten(0, 1))
    entropy, refining = forced.losses(found)
    recording.check("ref_partial_b1/ce_loss_render", entropy)
    recording.check("ref_partial_b1/diff_loss_render", refining)


@torch.no_grad()
def test_every_layer(gsvar):
    recording = gsvar("var_forward_a")
    forced = Forced(recording, 1, 2)
    network, inputs = forced.network, forced.inputs()
    recording.check("ref_b1/next_scale_input", inputs[0])
    for name in ("render", "reference"):
        recording.check(f"prefix_{name}", network.con_embedding(recording[name]))
    recording.check("ref_b1/prefix", network.con_embedding(forced.pictures[0]))
    seen = []
    for block in network.blocks:
        block.register_forward_hook(lambda _, args, out: seen.extend([args[0], out]))
    forced.run()
    recording.check("ref_b1/x_in", seen[0][0])
    recording.check("ref_b1/block_0", seen[1][0])
    recording.check("ref_b1/block_1", seen[3][0])
    recording.check("rope_cos", network.cos)
    recording.check("rope_sin", network.sin)
    levels = network.lvl_1L[0]
    recording.check("level_ids", levels)
    recording.check("mask_single", causal(levels))
    recording.check("mask_pair", causal(levels.repeat(2)))


@pytest.mark.parametrize(("run", "views"), [("noref_b1", 1), ("ref_b1", 2), ("ref_partial_b1", 2)])
def test_what_sees_what(gsvar, run, views):
    """Row: the input that changes, column: the logits that change with it."""
    recording = gsvar("var_forward_a")
    joint = recording.config["partial_fusion"] if "partial" in run else None
    forced = Forced(recording, 1, views, joint)
    pictures, inputs = forced.pictures.requires_grad_(), forced.inputs().requires_grad_()
    found = forced.network(pictures, inputs, forced.kinds).logits
    sizes = [side**2 for side in recording.config["patch_nums"]]
    rows = []
    for logits in found[0]:
        for level in logits.split(sizes):
            to_pictures, to_inputs = torch.autograd.grad(
                level.square().sum(), (pictures, inputs), retain_graph=True, materialize_grads=True
            )
            changed = []
            for picture, given in zip(to_pictures[0], to_inputs[0], strict=True):
                changed += [bool(picture.any()), *(bool(part.any()) for part in given.split(sizes[1:]))]
            rows.append(changed)
    recording.check(f"{run}/influence", torch.tensor(rows).T)


@torch.no_grad()
def test_refiner(gsvar):
    recording = gsvar("refiner_a")
    c = recording.config
    sizes = {"width": c["refiner_width"], "depth": c["refiner_depth"], "steps": 10, "scale": 0.6}
    refiner = Refiner(c["Cvae"], c["z_channels"], sizes)
    refiner.load_state_dict(recording.weights("var_wo_ddp/diffloss."), strict=True)
    left = list(recording["noise"])
    pairs = list(refiner.steps(recording["z"], lambda shape: left.pop(0)))
    assert not left
    steps = [step for step, _ in pairs]
    for name, field in {
        "eps": "noise", "var_values": "spread", "pred_xstart": "clean", "mean": "mean", "log_variance": "log_variance"
    }.items():  # fmt: skip
        recording.check(f"step/{name}", torch.stack([getattr(step, field) for step in steps]))
    recording.check("step/sample", torch.stack([x for _, x in pairs]))
    left = list(recording["noise"])
    recording.check("residual", refiner.sample(recording["z"], lambda shape: left.pop(0)))
    timesteps = refiner.sampling_process.timesteps.flip(0)
    recording.check("timesteps", timesteps)
    recording.check("time_sinusoid", sinusoids(timesteps))
    recording.check("time_embedding", refiner.net.time_embed(timesteps))
    check_tables(recording)
    squared, bits = refiner.losses(
        recording["train_target"], recording["z"], recording["train_t"].long(), recording["train_noise"]
    )
    recording.check("train/mse", squared)
    recording.check("train/vb", bits)
    recording.check("train/loss", squared + bits)
    recording.check("train/total", (squared + bits).mean())
    assert not recording.unchecked()


def check_tables(recording):
    short, full = Process.of(10), Process.of(1000)
    for name, found in {
        "betas": short.betas,
        "alphas_cumprod": short.alphas_cumprod,
        "sqrt_recip_alphas_cumprod": short.clean_weights[0],
        "sqrt_recipm1_alphas_cumprod": short.clean_weights[1],
        "posterior_variance": short.posterior_variance,
        "posterior_log_variance_clipped": short.posterior_log_variance,
        "posterior_mean_coef1": short.mean_weights[0],
        "posterior_mean_coef2": short.mean_weights[1],
    }.items():
        recording.check(f"schedule10/{name}", found)
    recording.check("schedule1000/betas", full.betas)
    recording.check("schedule1000/alphas_cumprod", full.alphas_cumprod)
