"""`unseen submit`."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import Annotated, Any

import typer

from unseen.cli.console import guarded, reporting, show
from unseen.cli.options import Debug, Json


@guarded
def run(
    kind: Annotated[str, typer.Argument(help="Kind of the job: avatar, world, fit, convert, render, ...")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for the results.")],
    server: Annotated[str, typer.Option(envvar="UNSEEN_SERVER", help="Address of the server.")] = (
        "http://127.0.0.1:7860"
    ),
    token: Annotated[str | None, typer.Option(envvar="UNSEEN_TOKEN", help="What the server wants to see.")] = None,
    file: Annotated[
        list[str] | None, typer.Option(help="An input, INPUT=FILE, such as image=room.png; again for several.")
    ] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="A setting, NAME=VALUE, such as steps=4.")] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Give a job to an unseen server, follow it, and fetch its results; Ctrl-C cancels it.

    `unseen submit world --set prompt="a red room" -o out/`
    """
    from unseen.client import Client
    from unseen.core.errors import InputError, UnseenError

    settings: dict[str, Any] = dict(_pair(text, "--set") for text in set_ or ())
    files: dict[str, list[str | Path]] = {}
    for name, value in (_pair(text, "--file") for text in file or ()):
        files.setdefault(name, []).append(value)
    with Client(server, token) as client, reporting(quiet=json) as reporter:
        known = {found["name"]: found for found in client.kinds()}
        if kind not in known:
            raise InputError(f"the server has no kind {kind!r}: expected one of {', '.join(known)}")
        texts = {s["name"] for s in known[kind]["settings"] if s["type"] in ("text", "choice")}
        settings = {name: value if name in texts else _typed(value) for name, value in settings.items()}
        job = client.submit(kind, settings, files)
        try:
            for event in client.events(job.id):
                if event.name == "progress":
                    reporter.stage(event.data["stage"], event.data["done"], event.data["total"])
                elif event.name == "note":
                    reporter.note(event.data["message"])
        except KeyboardInterrupt:
            client.cancel(job.id)
            raise
        job = client.job(job.id)
        if job.state != "COMPLETED":
            raise UnseenError(f"the job {job.state.lower()}: {job.message or 'by somebody else'}")
        paths = client.download(job.id, out)
    result: dict[str, Any] = {"id": job.id, "files": [str(path) for path in paths]}
    show(result, json, [f"{len(paths)} files in {out}"])


def _pair(text: str, option: str) -> tuple[str, str]:
    from unseen.core.errors import InputError

    name, equals, value = text.partition("=")
    if not equals or not name:
        raise InputError(f"{option} {text!r}: expected NAME=VALUE")
    return name, value


def _typed(value: str) -> Any:
    """A number or true or false; what is neither stays text, and the server says what it expected."""
    try:
        return json_module.loads(value)
    except ValueError:
        return value
