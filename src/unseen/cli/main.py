"""The `unseen` program. Commands are imported when they run, so that help is instant."""

from __future__ import annotations

import importlib
from typing import Any

import typer
from typer.core import TyperGroup

import unseen

COMMANDS = {
    "avatar": "Turn a head video into an animatable Gaussian avatar.",
    "world": "Make a 3D world of a prompt, a picture, or both.",
    "fit": "Turn photos into a scene of 3D Gaussians.",
    "repair": "Turn photos too few for a plain fit into a scene that holds up beside them.",
    "fix": "Repair renders with the help of photos: a picture, a folder, a video.",
    "eval": "Judge a fit by the photos it never saw, an avatar by another camera, or run the protocol of repairs.",
    "multiview": "Imagine a head from all sides, from one picture of it.",
    "drive": "Move an avatar with another video's or track's motion.",
    "compare": "Show avatars beside each other from all around.",
    "track": "Track a head video: poses, expressions, identity and camera.",
    "render": "Render Gaussians along a camera path to a video.",
    "view": "Show an avatar or Gaussians in the browser.",
    "convert": "Convert Gaussians between file formats.",
    "info": "Say what a file of Gaussians, an avatar or a track holds.",
    "weights": "Convert, inspect, verify and compare the weights of networks.",
    "sample": "Write a synthetic head video, or photographs of a synthetic place, with exact truth.",
    "curate": "Make triplets to train a fixer with, of captures or invented scenes.",
    "train": "Train a prior.",
    "serve": "Offer the jobs to browsers and programs.",
    "front": "Offer a server's jobs as a Gradio app.",
    "submit": "Give a job to an unseen server and fetch its results.",
    "profile": "Measure a prior's speed and memory, layer by layer.",
    "doctor": "Say what this machine can do.",
}


class LazyGroup(TyperGroup):
    """Loads a command's module when the command is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        """All commands in the order people need them."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command as click knows it, or None."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"unseen.cli.{cmd_name}")
        if hasattr(module, "app"):  # a command of several
            return typer.main.get_command(module.app)
        single = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
        single.command(cmd_name, help=module.run.__doc__)(module.run)
        command = typer.main.get_command(single)
        command.name = cmd_name
        return command

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """The list of commands, without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


app = typer.Typer(
    cls=LazyGroup, add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None
)


def _version(value: bool) -> None:
    if value:
        print(f"unseen {unseen.__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    """Reconstruct in 3D what the cameras never saw: Gaussian splatting joined with generative priors."""


def main() -> None:
    """Entry point of the console script."""
    app()
