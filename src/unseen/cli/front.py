"""`unseen front`."""

from __future__ import annotations

from typing import Annotated

import typer

from unseen.cli.console import guarded
from unseen.cli.options import Debug


@guarded
def run(
    server: Annotated[str, typer.Option(envvar="UNSEEN_SERVER", help="Address of the server.")] = (
        "http://127.0.0.1:7860"
    ),
    token: Annotated[str | None, typer.Option(envvar="UNSEEN_TOKEN", help="What the server wants to see.")] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on.")] = 7861,
    debug: Debug = False,
) -> None:
    """Offer a server's jobs as a Gradio app, for spaces that host those; Ctrl-C ends it."""
    from unseen.serve.front import Front

    Front(server, token).blocks().launch(server_name=host, server_port=port, share=False)
