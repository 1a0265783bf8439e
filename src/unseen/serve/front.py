"""A second front end: the API of a server as a Gradio app, for spaces that host those.

It is a client like any other (`unseen.client`) and knows no kind of job by itself: forms are built of what the server
says it takes. Every browser session is a client of its own.
"""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

from unseen.client import Client, ServedEvent
from unseen.core.errors import MissingDependencyError, UnseenError

try:
    import gradio
except ImportError as error:
    raise MissingDependencyError("gradio is not installed: pip install 'unseen[gradio]'") from error

Form = dict[str, Any]
"""A kind of job, as the server's `/v1/kinds` has it."""
PICTURES, FILMS = (".png", ".jpg", ".jpeg", ".webp"), (".mp4", ".webm")
HOUR_S, DAY_S = 3600, 24 * 3600
Shown = tuple[str, str | None, str | None, list[str] | None, str | None]
"""What is happening, a picture, a film, all results, the job's id while it may be cancelled."""


class Front:
    """The app of a server.

    Args:
        url: of the server.
        token: that it wants to see; then all sessions are one client.
    """

    def __init__(self, url: str, token: str | None = None) -> None:
        self.url, self.token = url, token
        with self._client("") as client:
            self.forms: list[Form] = client.kinds()

    def blocks(self) -> gradio.Blocks:
        """The page: a tab for each kind of job."""
        with gradio.Blocks(title="unseen", analytics_enabled=False, delete_cache=(HOUR_S, DAY_S)) as page:
            gradio.Markdown("# unseen\nReconstructs in 3D what the cameras never saw.")
            name = gradio.State(_new_name)
            for form in self.forms:
                with gradio.Tab(form["name"]):
                    self._tab(form, name)
        return page

    def run(self, form: Form, name: str, values: Sequence[Any]) -> Iterator[Shown]:
        """Do a job, saying how far it is.

        Args:
            form: its kind.
            name: who is asking.
            values: of the form's inputs and then its settings.
        """
        inputs = len(form["inputs"])
        pairs = zip(form["inputs"], values[:inputs], strict=True)
        files = {given["name"]: value for given, value in pairs if value}
        settings = _settings(form, values[inputs:])
        try:
            # Gradio keeps copies of its own of what it is given, and removes them a day later
            with self._client(name) as client, tempfile.TemporaryDirectory(prefix="unseen-front-") as folder:
                job = client.submit(form["name"], settings, files)
                said, preview = "", None
                for event in client.events(job.id):
                    if event.name == "preview":
                        preview = str(client.download(job.id, folder, [event.data["name"]])[0])
                    else:
                        said = _said(event)
                    yield said, preview, None, None, job.id
                job = client.job(job.id)
                paths = [str(path) for path in client.download(job.id, folder)]
                said = f"{job.state.lower()}: {job.message}" if job.message else job.state.lower()
                film = next((path for path in paths if path.endswith(FILMS)), None)
                yield said, next((p for p in paths if p.endswith(PICTURES)), preview), film, paths or None, None
        except UnseenError as error:
            raise gradio.Error(str(error)) from error

    def cancel(self, name: str, job_id: str | None) -> None:
        """Stop a job, if it still runs."""
        if job_id is None:
            return
        try:
            with self._client(name) as client:
                client.cancel(job_id)
        except UnseenError as error:
            raise gradio.Error(str(error)) from error

    def _client(self, name: str) -> Client:
        return Client(self.url, self.token, name or None)

    def _tab(self, form: Form, name: gradio.State) -> None:
        gradio.Markdown(form["title"])
        with gradio.Row():
            with gradio.Column():
                fields = [_input(given) for given in form["inputs"]]
                with gradio.Accordion("Settings", open=not form["inputs"]):
                    fields += [_setting(each) for each in form["settings"]]
                with gradio.Row():
                    start, stop = gradio.Button("Start", variant="primary"), gradio.Button("Stop")
            with gradio.Column():
                said = gradio.Textbox(label="State", interactive=False)
                picture = gradio.Image(label="Preview", interactive=False, type="filepath")
                film, files = gradio.Video(label="Film"), gradio.File(label="Results", file_count="multiple")
        job = gradio.State(None)

        def run(who: str, *values: Any) -> Iterator[Shown]:
            yield from self.run(form, who, values)

        start.click(run, [name, *fields], [said, picture, film, files, job], api_name=form["name"])
        stop.click(self.cancel, [name, job], None, queue=False)


def _new_name() -> str:
    return secrets.token_urlsafe(24)


def _input(given: Form) -> gradio.File:
    label = given["what"] if given["required"] else f"{given['what']} (may be left out)"
    return gradio.File(
        label=label, file_count="multiple" if given["many"] else "single", file_types=given["accept"], type="filepath"
    )


def _setting(found: Form) -> Any:
    about = {"label": found["name"], "info": found["help"], "value": found["default"]}
    if found["type"] == "choice":
        return gradio.Dropdown(choices=found["choices"], **about)
    if found["type"] == "flag":
        return gradio.Checkbox(**about)
    if found["type"] == "text":
        return gradio.Textbox(**about)
    bounds = {"minimum": found["minimum"], "maximum": found["maximum"]}
    return gradio.Number(precision=0 if found["type"] == "integer" else None, **bounds, **about)


def _settings(form: Form, values: Sequence[Any]) -> dict[str, Any]:
    """What was set, without what was left empty."""
    named = zip((setting["name"] for setting in form["settings"]), values, strict=True)
    return {name: value for name, value in named if value not in (None, "")}


def _said(event: ServedEvent) -> str:
    if event.name == "progress":
        return f"{event.data['stage']}: {event.data['done']} of {event.data['total']}"
    return str(event.data.get("message") or event.data["state"]).lower()
