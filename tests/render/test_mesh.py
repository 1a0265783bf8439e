"""The mesh renderer against brute force, finite differences and geometry with known answers."""

import math

import numba
import numpy as np
import pytest
import torch

from unseen.core import Camera, NonFiniteError, ShapeError
from unseen.core.rotations import axis_angle_to_matrix
from unseen.render.mesh import (
    barycentrics,
    contour,
    interpolate,
    mesh_edges,
    mesh_silhouette,
    normal_map,
    rasterize_mesh,
    silhouette,
    vertex_normals,
    visible_faces,
    visible_points,
)


def sphere(rings: int = 12, segments: int = 16, radius: float = 0.1) -> tuple[torch.Tensor, torch.Tensor]:
    """Closed UV sphere, outward faces."""
    points = [[0.0, radius, 0.0]]
    for i in range(1, rings):
        for j in range(segments):
            a, b = math.pi * i / rings, 2 * math.pi * j / segments
            points.append(
                [radius * math.sin(a) * math.sin(b), radius * math.cos(a), radius * math.sin(a) * math.cos(b)]
            )
    points.append([0.0, -radius, 0.0])
    last, faces = len(points) - 1, []
    for j in range(segments):
        k = (j + 1) % segments
        faces += [[0, 1 + j, 1 + k], [last, last - segments + k, last - segments + j]]
        for i in range(rings - 2):
            a, b = 1 + i * segments, 1 + (i + 1) * segments
            faces += [[a + j, b + j, b + k], [a + j, b + k, a + k]]
    return torch.tensor(points), torch.tensor(faces)


def random_soup(seed: int, count: int = 40) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(3 * count, 3, generator=generator) * 0.3, torch.arange(3 * count).reshape(count, 3)


def brute_force(vertices: torch.Tensor, faces: torch.Tensor, camera: Camera, near: float = 0.01):
    """Ray-triangle intersection of every pixel with every face in float64 (Moeller and Trumbore's equations)."""
    rotation, shift = camera.world_to_camera[:3, :3].double(), camera.world_to_camera[:3, 3].double()
    a, b, c = (vertices.double() @ rotation.T + shift)[faces].unbind(1)
    ys, xs = torch.meshgrid(torch.arange(camera.height) + 0.5, torch.arange(camera.width) + 0.5, indexing="ij")
    ray = torch.stack([xs, ys, torch.ones_like(xs)], -1).double() @ torch.linalg.inv(camera.K.double()).T
    ray = ray[:, :, None].expand(-1, -1, len(faces), -1)
    edge1, edge2 = (b - a).expand_as(ray), (c - a).expand_as(ray)
    h = torch.linalg.cross(ray, edge2)
    det = (edge1 * h).sum(-1)
    s = -a.expand_as(ray)
    u = (s * h).sum(-1) / det
    q = torch.linalg.cross(s, edge1)
    v = (ray * q).sum(-1) / det
    t = (edge2 * q).sum(-1) / det
    hit = (u >= 0) & (v >= 0) & (u + v <= 1) & (t >= near)
    depth, ids = torch.where(hit, t, torch.inf).min(-1)
    bary = torch.stack([1 - u - v, u, v], -1).gather(2, ids[..., None, None].expand(-1, -1, 1, 3))[:, :, 0]
    ids = torch.where(depth.isfinite(), ids, -1)
    return ids, torch.where(depth.isfinite()[..., None], bary, 0.0), depth


@pytest.fixture(scope="module")
def camera() -> Camera:
    return Camera.look_at((0.05, 0.08, 0.5), (0.0, 0.0, 0.0), 64, 48, focal_px=90.0)


@pytest.mark.parametrize("seed", range(4))
def test_matches_brute_force(seed: int, camera: Camera) -> None:
    vertices, faces = random_soup(seed)  # reaches behind the camera: the near plane cuts faces
    assert (camera.project(vertices)[1] < 0).any()
    got = rasterize_mesh(vertices, faces, camera)
    ids, bary, depth = brute_force(vertices, faces, camera)
    assert (got.face_ids != ids).sum() <= 2  # pixel centres within rounding of an edge
    same = (got.face_ids == ids) & (ids >= 0)
    assert same.sum() > 1000
    torch.testing.assert_close(got.depth[same].double(), depth[same], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(got.bary[same].double(), bary[same], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(got.bary[got.mask].sum(-1), torch.ones(int(got.mask.sum())), atol=1e-6, rtol=0)
    assert (got.bary >= 0).all()


def test_closed_surface_has_no_cracks_and_no_double_hits() -> None:
    """A grid of faces whose vertices sit exactly on pixel centres covers each pixel exactly once."""
    n = 9
    xs, ys = torch.meshgrid(torch.arange(n), torch.arange(n), indexing="xy")
    points = torch.stack([xs * 4 + 2.5, ys * 4 + 2.5, torch.ones(n, n)], -1).reshape(-1, 3)
    cell = (torch.arange(n - 1)[:, None] * n + torch.arange(n - 1)).reshape(-1)
    faces = torch.cat([torch.stack([cell, cell + n, cell + n + 1], 1), torch.stack([cell, cell + n + 1, cell + 1], 1)])
    view = Camera(torch.eye(4), torch.eye(3), 40, 40)
    hits = torch.zeros(40, 40, dtype=torch.int64)
    for face in faces:
        hits += rasterize_mesh(points, face[None], view).mask
    assert hits.max() == 1
    assert hits.sum() == (4 * (n - 1)) ** 2
    assert (hits[3:34, 3:34] == 1).all()


def test_random_closed_surface_is_watertight() -> None:
    vertices, faces = sphere(40, 60)
    view = Camera.look_at((0.0, 0.02, 0.5), (0.0, 0.0, 0.0), 200, 200, focal_px=400.0)
    mask = rasterize_mesh(vertices, faces, view).mask
    for row in mask:  # the outline is convex: covered pixels of a row are contiguous
        columns = row.nonzero()[:, 0]
        assert len(columns) == 0 or len(columns) == columns[-1] - columns[0] + 1
    both = rasterize_mesh(vertices, faces, view, cull_back_faces=True)
    assert torch.equal(both.mask, mask)


def test_nearest_face_wins_and_ties_go_to_the_lower_id(camera: Camera) -> None:
    triangle = torch.tensor([[-1.0, -1.0, 0.0], [1.0, -1.0, 0.0], [0.0, 2.0, 0.0]])
    vertices = torch.cat([triangle, triangle + torch.tensor([0.0, 0.0, 0.1]), triangle])
    ids = rasterize_mesh(vertices, torch.arange(9).reshape(3, 3), camera).face_ids
    assert (ids == 1).all()
    assert (rasterize_mesh(vertices, torch.tensor([[6, 7, 8], [0, 1, 2]]), camera).face_ids == 0).all()


@pytest.mark.parametrize("shift", [(0.0, 0.0, 2.0), (50.0, 0.0, 0.0)])
def test_mesh_behind_or_beside_the_image_is_empty(shift: tuple[float, float, float], camera: Camera) -> None:
    vertices, faces = sphere()
    moved = (vertices + torch.tensor(shift)).requires_grad_()
    buffers = rasterize_mesh(moved, faces, camera)
    assert not buffers.mask.any() and torch.isinf(buffers.depth).all() and (buffers.bary == 0).all()
    coverage = mesh_silhouette(moved, faces, camera)
    coverage.sum().backward()
    assert coverage.sum() == 0 and (moved.grad == 0).all()
    assert len(contour(moved, faces, camera).outer) == 0


def test_no_faces(camera: Camera) -> None:
    faces = torch.zeros(0, 3, dtype=torch.long)
    buffers = rasterize_mesh(torch.zeros(0, 3), faces, camera)
    assert not buffers.mask.any()
    assert mesh_silhouette(torch.zeros(4, 3), faces, camera).sum() == 0
    assert interpolate(buffers, torch.zeros(0, 2)).shape == (48, 64, 2)


def test_bad_input_is_refused(camera: Camera) -> None:
    vertices, faces = sphere()
    with pytest.raises(ShapeError, match="index"):
        rasterize_mesh(vertices[:10], faces, camera)
    with pytest.raises(ShapeError, match="expected"):
        rasterize_mesh(vertices[:, :2], faces, camera)
    with pytest.raises(NonFiniteError):
        rasterize_mesh(vertices * torch.nan, faces, camera)
    with pytest.raises(ShapeError, match="depths"):
        silhouette(vertices[:, :2], torch.ones(3), faces, 8, 8)


def test_batched_frames_equal_single_ones_for_any_thread_count(camera: Camera) -> None:
    vertices, faces = sphere()
    frames = torch.stack([vertices, vertices + 0.02, vertices * 1.5])
    together = rasterize_mesh(frames, faces, camera)
    soft = mesh_silhouette(frames, faces, camera)
    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        for t, frame in enumerate(frames):
            alone = rasterize_mesh(frame, faces, camera)
            assert torch.equal(alone.face_ids, together.frame(t).face_ids)
            assert torch.equal(alone.bary, together.bary[t]) and torch.equal(alone.depth, together.depth[t])
            assert torch.equal(mesh_silhouette(frame, faces, camera), soft[t])
    finally:
        numba.set_num_threads(threads)


def test_interpolate_reproduces_positions_and_gradients(camera: Camera) -> None:
    vertices, faces = sphere()
    buffers = rasterize_mesh(vertices, faces, camera)
    points = interpolate(buffers, vertices)[buffers.mask]
    pixels, depth = camera.project(points)
    rows, columns = buffers.mask.nonzero(as_tuple=True)
    torch.testing.assert_close(pixels, torch.stack([columns, rows], -1) + 0.5, atol=1e-3, rtol=0)
    torch.testing.assert_close(depth, buffers.depth[buffers.mask], atol=1e-5, rtol=0)
    per_corner = interpolate(buffers, vertices[faces])
    torch.testing.assert_close(per_corner[buffers.mask], points)
    attributes = torch.randn(len(vertices), 2, dtype=torch.float64, requires_grad=True)
    weights = buffers.bary.double().requires_grad_()
    assert torch.autograd.gradcheck(lambda a: interpolate(buffers, a), attributes, fast_mode=True)
    assert torch.autograd.gradcheck(lambda w: interpolate(buffers, attributes, w), weights, fast_mode=True)


def test_barycentrics_and_depth_follow_the_vertices(camera: Camera) -> None:
    vertices, faces = sphere()
    buffers = rasterize_mesh(vertices, faces, camera)
    bary, depth = barycentrics(buffers, vertices, camera)
    torch.testing.assert_close(bary, buffers.bary, atol=1e-4, rtol=0)
    torch.testing.assert_close(depth[buffers.mask], buffers.depth[buffers.mask], atol=2e-4, rtol=0)
    exact = vertices.double().requires_grad_()

    def both(v: torch.Tensor) -> torch.Tensor:
        b, z = barycentrics(buffers, v, camera)
        return torch.cat([b[buffers.mask], z[buffers.mask, None]], -1)

    assert torch.autograd.gradcheck(both, exact, fast_mode=True, atol=1e-4)


def test_normals_of_a_sphere(camera: Camera) -> None:
    vertices, faces = sphere(30, 40)
    normals = vertex_normals(vertices, faces)
    assert (normals * torch.nn.functional.normalize(vertices, dim=-1)).sum(-1).min() > 0.999
    buffers = rasterize_mesh(vertices, faces, camera)
    world = normal_map(buffers, vertices, faces)
    local = normal_map(buffers, vertices, faces, camera=camera)
    assert local[buffers.mask][:, 2].max() < 0.2  # facing the camera: against its z axis
    back = local @ camera.world_to_camera[:3, :3]
    torch.testing.assert_close(back, world, atol=1e-6, rtol=0)
    flat = normal_map(buffers, vertices, faces, smooth=False)
    assert (flat * world).sum(-1)[buffers.mask].min() > 0.98
    exact = vertices[:50].double().requires_grad_()
    few = faces[(faces < 50).all(1)]
    assert torch.autograd.gradcheck(lambda v: vertex_normals(v, few)[0], exact, fast_mode=True)


def head_like() -> tuple[torch.Tensor, torch.Tensor]:
    """A bumpy sphere with folds in its outline and a second body in front of it."""
    vertices, faces = sphere(24, 32)
    bumps = 1 + 0.15 * torch.sin(50 * vertices[:, :1]) + 0.1 * torch.cos(40 * vertices[:, 1:2] + 1)
    turn = axis_angle_to_matrix(torch.tensor([0.3, 0.5, 0.1]))
    small = vertices * 0.4 + torch.tensor([0.09, 0.02, 0.05])
    return torch.cat([(vertices * bumps) @ turn.T, small]), torch.cat([faces, faces + len(vertices)])


def supersampled(vertices: torch.Tensor, faces: torch.Tensor, view: Camera, factor: int) -> torch.Tensor:
    fine = rasterize_mesh(vertices, faces, view.resized(view.width * factor, view.height * factor)).mask.float()
    return torch.nn.functional.avg_pool2d(fine[None, None], factor)[0, 0]


def test_silhouette_is_the_covered_area() -> None:
    vertices, faces = head_like()
    view = Camera.look_at((0.05, 0.08, 0.6), (0.0, 0.0, 0.0), 48, 40, focal_px=90.0)
    coverage = mesh_silhouette(vertices, faces, view)
    exact = supersampled(vertices, faces, view, 32)
    assert (coverage - exact).abs().max() < 0.08  # 64 samples: a few of them
    assert (coverage - exact).abs()[(exact > 0) & (exact < 1)].mean() < 0.02


def test_silhouette_gradient_against_finite_differences_of_a_supersampled_one() -> None:
    """Rigid motions and smooth deformations, a random smooth loss: to the accuracy of the differences, 4 %."""
    vertices, faces = head_like()
    view = Camera.look_at((0.05, 0.08, 0.6), (0.0, 0.0, 0.0), 48, 40, focal_px=90.0)
    generator = torch.Generator().manual_seed(3)
    weight = torch.nn.functional.interpolate(
        torch.randn(1, 1, 5, 5, generator=generator), size=(40, 48), mode="bicubic", align_corners=True
    )[0, 0]
    directions = [torch.eye(3)[axis].expand_as(vertices) for axis in range(3)] + [vertices]
    directions += [torch.linalg.cross(torch.eye(3)[axis].expand_as(vertices), vertices) for axis in range(3)]
    directions += [torch.sin(30 * vertices.roll(1, 1)) * 0.1]
    moving = vertices.clone().requires_grad_()
    (mesh_silhouette(moving, faces, view) * weight).sum().backward()
    analytic, numeric = [], []
    for direction in directions:
        step = 1e-3 / float(direction.abs().max())
        ends = [(supersampled(vertices + s * direction, faces, view, 48) * weight).sum() for s in (step, -step)]
        numeric.append(float(ends[0] - ends[1]) / (2 * step))
        analytic.append(float((moving.grad * direction).sum()))
    scale = np.abs(numeric) + 0.02 * np.abs(numeric).max()
    assert (np.abs(np.array(analytic) - numeric) / scale).max() < 0.04


def test_silhouette_gradient_of_single_vertices() -> None:
    """One triangle, each coordinate: closed-form area derivatives, to rounding where the loss is the area."""
    points = torch.tensor([[3.2, 4.1], [20.7, 8.3], [9.4, 25.6]], dtype=torch.float64, requires_grad=True)
    coverage = silhouette(points, torch.ones(3), torch.tensor([[0, 1, 2]]), 32, 32)
    coverage.sum().backward()
    leaf = points.detach().requires_grad_()
    a, b, c = leaf
    area = 0.5 * ((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]))
    area.backward()
    assert abs(float(coverage.sum().detach() - area.detach())) < 0.5
    torch.testing.assert_close(points.grad, leaf.grad, atol=0.05, rtol=0.01)


def test_edges_of_a_closed_mesh() -> None:
    _, faces = sphere()
    edges = mesh_edges(faces)
    assert len(edges.vertices) == 3 * len(faces) // 2 and not edges.irregular.any()
    assert mesh_edges(faces[1:]).irregular.sum() == 3
    for (i, j), pair in zip(edges.vertices[:20], edges.faces[:20], strict=True):
        assert all(i in faces[f] and j in faces[f] for f in pair)


def test_contour_of_a_sphere_lies_on_its_outline() -> None:
    vertices, faces = sphere(40, 60)
    view = Camera.look_at((0.0, 0.0, 0.6), (0.0, 0.0, 0.0), 200, 200, focal_px=400.0)
    found = contour(vertices, faces, view)
    centre = torch.tensor([100.0, 100.0])
    radius = (found.points_px - centre).norm(dim=-1)
    expected = 400 * 0.1 / math.sqrt(0.6**2 - 0.1**2)
    assert found.outer.all() and (radius - expected).abs().max() < 1.0
    outward = torch.nn.functional.normalize(found.points_px - centre, dim=-1)
    assert (outward * found.normals_px).sum(-1).min() > 0.8
    # the fold zigzags over faces, so its length is somewhat more than the circle's
    assert 0.99 < float(found.lengths_px.sum()) / (2 * math.pi * expected) < 1.35
    torch.testing.assert_close(view.project(found.positions(vertices))[0], found.points_px, atol=1e-3, rtol=0)


def test_inner_contours_are_not_outer(camera: Camera) -> None:
    vertices, faces = sphere()
    front = vertices * 0.3 + 0.4 * camera.center
    view = camera.resized(512, 384)
    found = contour(torch.cat([vertices, front]), torch.cat([faces, faces + len(vertices)]), view)
    small = found.vertex_ids[:, 0] >= len(vertices)
    assert small.any() and not found.outer[small].any() and found.outer[~small].any()


def test_visible_points_and_faces(camera: Camera) -> None:
    vertices, faces = sphere(24, 32)
    camera = camera.resized(512, 384)
    buffers = rasterize_mesh(vertices, faces, camera)
    seen = visible_points(vertices, buffers, camera)
    facing = (vertex_normals(vertices, faces) * (camera.center - vertices)).sum(-1)
    assert seen[facing > 0.1].all() and not seen[facing < -0.1].any()
    outside = torch.tensor([[5.0, 0.0, 0.0], [0.0, 0.0, 2.0]])
    assert not visible_points(outside, buffers, camera).any()
    frames = rasterize_mesh(torch.stack([vertices, vertices + 0.03]), faces, camera)
    assert visible_points(torch.stack([vertices, vertices + 0.03]), frames, camera).shape == (2, len(vertices))
    ids = torch.unique(buffers.face_ids[buffers.mask])
    assert torch.equal(visible_faces(buffers).nonzero()[:, 0], ids.long())
