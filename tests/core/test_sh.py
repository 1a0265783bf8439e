import torch
from hypothesis import given
from hypothesis import strategies as st

from unseen.core.rotations import axis_angle_to_matrix
from unseen.core.sh import num_coefficients, sh_basis, sh_rotation

AXIS = st.tuples(*[st.floats(-3, 3)] * 3)


@given(st.integers(0, 3), AXIS)
def test_turned_coefficients_show_along_turned_directions_what_was_seen(degree, axis):
    rotation = axis_angle_to_matrix(torch.tensor(axis, dtype=torch.float64))
    generator = torch.Generator().manual_seed(0)
    dirs = torch.nn.functional.normalize(torch.randn(40, 3, generator=generator, dtype=torch.float64), dim=-1)
    coefficients = torch.randn(num_coefficients(degree), 3, generator=generator, dtype=torch.float64)
    turned = sh_rotation(degree, rotation) @ coefficients
    torch.testing.assert_close(sh_basis(degree, dirs @ rotation.T) @ turned, sh_basis(degree, dirs) @ coefficients)


@given(AXIS, AXIS)
def test_rotations_of_coefficients_follow_each_other_and_are_orthogonal(first, second):
    a, b = (axis_angle_to_matrix(torch.tensor(v, dtype=torch.float64)) for v in (first, second))
    torch.testing.assert_close(sh_rotation(3, b) @ sh_rotation(3, a), sh_rotation(3, b @ a), atol=1e-9, rtol=0)
    both = sh_rotation(3, a) @ sh_rotation(3, a).T
    torch.testing.assert_close(both, torch.eye(16, dtype=torch.float64), atol=1e-9, rtol=0)


def test_bands_do_not_mix():
    matrix = sh_rotation(3, axis_angle_to_matrix(torch.tensor([0.3, -1.0, 2.0])))
    assert matrix.dtype == torch.float32
    bands = [band for band in range(4) for _ in range(2 * band + 1)]
    mixed = torch.tensor([[a != b for a in bands] for b in bands])
    assert (matrix[mixed] == 0).all() and matrix[0, 0] == 1
