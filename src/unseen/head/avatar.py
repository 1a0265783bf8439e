"""The avatar: a head model, splats bound to its triangles, and the motion it was fitted on."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path

from jaxtyping import Float, Int
from torch import Tensor

from unseen.core.camera import Camera
from unseen.core.errors import InputError
from unseen.core.gaussians import Gaussians
from unseen.head.binding import face_frames, to_global
from unseen.head.library import head_model
from unseen.head.model import HeadModel
from unseen.head.params import HeadParams
from unseen.io.tensors import load_tensors, save_tensors

KIND, VERSION = "unseen-avatar", 1


@dataclass(frozen=True)
class Avatar:
    """An animatable Gaussian head.

    Attributes:
        model: the head model that carries it.
        local: splats in triangle space (see `unseen.head.binding`).
        binding: parent triangle of each splat, [N].
        params: identity, and the motion of the T frames it was fitted on.
        camera: the camera of that video.
        fps: frames per second of that video.
    """

    model: HeadModel
    local: Gaussians
    binding: Int[Tensor, "N"]
    params: HeadParams
    camera: Camera
    fps: float

    def posed(self, frame: HeadParams) -> Gaussians:
        """Splats in the world for one frame of parameters (T = 1)."""
        return self.on(self.model.vertices(frame)[0])

    def on(self, vertices: Float[Tensor, "V 3"]) -> Gaussians:
        """Splats in the world on posed vertices."""
        return to_global(self.local, self.binding, face_frames(vertices, self.model.faces))

    def neutral_params(self) -> HeadParams:
        """One frame of this identity at rest, looking to +Z, at the place of the motion's mean."""
        mean = self.params.translation.mean(0, keepdim=True)
        return replace(
            HeadParams.zeros(self.model, 1),
            shape=self.params.shape,
            static_offset=self.params.static_offset,
            translation=mean,
        )

    def motion_from(self, other: HeadParams) -> HeadParams:
        """This identity moved by another's motion: expression, joints, and how the root moves about its mean."""
        move = other.translation - other.translation.mean(0)
        return replace(
            other,
            shape=self.params.shape,
            static_offset=self.params.static_offset,
            dynamic_offset=None,
            translation=self.params.translation.mean(0) + move,
        )

    def save(self, path: Path) -> None:
        """Write avatar.safetensors atomically.

        Raises:
            ResourceError: the machine refuses the write.
        """
        tensors = {f"splats.{f.name}": getattr(self.local, f.name) for f in fields(self.local)}
        tensors |= {
            f"params.{f.name}": v for f in fields(self.params) if (v := getattr(self.params, f.name)) is not None
        }
        tensors |= {"binding": self.binding.int(), "camera.K": self.camera.K}
        tensors |= {"camera.world_to_camera": self.camera.world_to_camera}
        info = {
            "head_model": self.model.variant,
            "num_vertices": self.model.num_vertices,
            "num_faces": self.model.num_faces,
            "width": self.camera.width,
            "height": self.camera.height,
            "fps": self.fps,
        }
        save_tensors(path, KIND, VERSION, tensors, info)

    @classmethod
    def load(cls, path: Path, model: HeadModel | None = None) -> Avatar:
        """Read avatar.safetensors. The head model is found by its variant's name unless given.

        Raises:
            InputError: no such file, or the head model is not the one the avatar was made with.
            MissingDependencyError: the avatar needs a FLAME model that is not on this machine.
        """
        tensors, info = load_tensors(path, KIND, VERSION)
        model = head_model(info["head_model"]) if model is None else model
        got = (model.variant, model.num_vertices, model.num_faces)
        expected = (info["head_model"], info["num_vertices"], info["num_faces"])
        if got != expected:
            raise InputError(
                f"{path} was made with head model {expected[0]} ({expected[1]} vertices, {expected[2]} faces), "
                f"got {got[0]} ({got[1]}, {got[2]})"
            )

        def part(prefix: str) -> dict[str, Tensor]:
            return {name[len(prefix) :]: t for name, t in tensors.items() if name.startswith(prefix)}

        camera = Camera(**part("camera."), width=info["width"], height=info["height"])
        local, params = Gaussians(**part("splats.")), HeadParams(**part("params."))
        return cls(model, local, tensors["binding"].long(), params, camera, info["fps"])
