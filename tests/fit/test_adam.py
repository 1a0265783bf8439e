"""SelectiveAdam against torch's Adam and SparseAdam."""

import pytest
import torch

from unseen.core.errors import ShapeError
from unseen.fit.adam import SelectiveAdam

SHAPES = [(300, 3), (301, 4), (77,), (45, 15, 3), (5, 16), (1, 1), (0, 3)]


def run(optimizer, tensor, gradients, **step):
    for gradient in gradients:
        tensor.grad = gradient.clone()
        optimizer.step(**step)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equals_adam_when_every_row_moves(shape, dtype):
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(shape, generator=generator, dtype=dtype)
    gradients = [torch.randn(shape, generator=generator, dtype=dtype) for _ in range(5)]
    ours, theirs, ones = (start.clone().requires_grad_() for _ in range(3))
    run(SelectiveAdam([ours], lr=0.01), ours, gradients)
    run(SelectiveAdam([{"params": [ones], "name": "x"}], lr=0.01), ones, gradients, factors={"x": torch.ones(shape[0])})
    run(torch.optim.Adam([theirs], lr=0.01, eps=1e-15), theirs, gradients)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=2e-6)
    assert torch.equal(ours, ones)


@pytest.mark.filterwarnings("ignore:Sparse invariant")
@pytest.mark.parametrize("shape", SHAPES[:5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equals_sparse_adam_on_the_rows_that_move(shape, dtype):
    generator = torch.Generator().manual_seed(1)
    start = torch.randn(shape, generator=generator, dtype=dtype)
    ours, theirs = start.clone().requires_grad_(), start.clone().requires_grad_()
    mine = SelectiveAdam([{"params": [ours], "name": "x"}], lr=0.01)
    peer = torch.optim.SparseAdam([theirs], lr=0.01, eps=1e-15)
    for _ in range(6):
        rows = torch.rand(shape[0], generator=generator) < 0.4
        gradient = torch.randn(shape, generator=generator, dtype=dtype)
        ours.grad = gradient
        mine.step(factors={"x": rows.float()})
        index = rows.nonzero().T
        theirs.grad = torch.sparse_coo_tensor(index, gradient[rows], shape)
        peer.step()
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=2e-6)


def test_factors_scale_the_step_and_zero_keeps_the_moments():
    start = torch.zeros(40, 3)
    whole, scaled = start.clone().requires_grad_(), start.clone().requires_grad_()
    factors = torch.linspace(0, 2, 40)
    run(SelectiveAdam([whole], lr=0.1), whole, [torch.ones(40, 3)])
    optimizer = SelectiveAdam([{"params": [scaled], "name": "x"}], lr=0.1)
    run(optimizer, scaled, [torch.ones(40, 3)], factors={"x": factors})
    torch.testing.assert_close(scaled.detach(), whole.detach() * factors[:, None])
    assert not optimizer.state[scaled]["exp_avg"][0].any() and optimizer.state[scaled]["exp_avg"][1:].all()


def test_wrong_number_of_factors():
    tensor = torch.zeros(4, 3, requires_grad=True)
    tensor.grad = torch.ones(4, 3)
    with pytest.raises(ShapeError, match="one per row"):
        SelectiveAdam([{"params": [tensor], "name": "x"}]).step(factors={"x": torch.ones(3)})


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("rest", [(1, 3), (4, 3), (16, 3), (7,)])
def test_columns_are_rates_of_their_own(rest, dtype):
    generator = torch.Generator().manual_seed(2)
    start = torch.randn(33, *rest, generator=generator, dtype=dtype)
    gradients = [torch.randn(33, *rest, generator=generator, dtype=dtype) for _ in range(3)]
    columns = torch.rand(rest, generator=generator)
    ours, plain = start.clone().requires_grad_(), start.clone().requires_grad_()
    run(SelectiveAdam([{"params": [ours], "columns": columns}], lr=0.1), ours, gradients)
    run(SelectiveAdam([plain], lr=0.1), plain, gradients)
    moved = (plain.detach() - start) * columns.to(dtype)
    torch.testing.assert_close(ours.detach() - start, moved, rtol=1e-4, atol=1e-6)
