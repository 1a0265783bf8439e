"""Bytes to core types and back. Other conventions than ours are converted here and nowhere else."""

from unseen.io.atomic import atomic_write, make_folder, write_bytes, write_json, write_text
from unseen.io.axes import rdf_to_rub
from unseen.io.compressed_ply import load_compressed_ply, save_compressed_ply
from unseen.io.gltf import load_gltf, save_gltf
from unseen.io.images import read_image, read_image_float, read_mask, write_image
from unseen.io.ksplat import load_ksplat
from unseen.io.ply import load_ply, save_ply
from unseen.io.scene import load_gaussians, save_gaussians
from unseen.io.sog import load_sog, save_sog
from unseen.io.splat import load_splat, save_splat
from unseen.io.spz import load_spz, save_spz
from unseen.io.video import VideoInfo, VideoWriter, iter_frames, probe, read_video

__all__ = [
    "VideoInfo",
    "VideoWriter",
    "atomic_write",
    "iter_frames",
    "load_compressed_ply",
    "load_gaussians",
    "load_gltf",
    "load_ksplat",
    "load_ply",
    "load_sog",
    "load_splat",
    "load_spz",
    "make_folder",
    "probe",
    "rdf_to_rub",
    "read_image",
    "read_image_float",
    "read_mask",
    "read_video",
    "save_compressed_ply",
    "save_gaussians",
    "save_gltf",
    "save_ply",
    "save_sog",
    "save_splat",
    "save_spz",
    "write_bytes",
    "write_image",
    "write_json",
    "write_text",
]
