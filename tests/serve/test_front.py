"""The Gradio app, as a browser session uses it, over a real server."""

import pytest
from serving import Served, config, picture

gradio = pytest.importorskip("gradio")
pytest.importorskip("httpx")


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    served = Served(config(tmp_path_factory.mktemp("served"), jobs=2))
    served.start()
    yield f"http://127.0.0.1:{served.port}"
    served.stop()


@pytest.fixture(scope="module")
def front(url):
    from unseen.serve.front import Front

    return Front(url)


def values_of(form, files=None, settings=None):
    """What the form's fields hold."""
    given = [(files or {}).get(each["name"]) for each in form["inputs"]]
    return [*given, *((settings or {}).get(each["name"], each["default"]) for each in form["settings"])]


def test_a_job_from_form_to_files(front, tmp_path):
    form = next(form for form in front.forms if form["name"] == "count")
    drawn = tmp_path / "a.png"
    drawn.write_bytes(picture())
    values = values_of(
        form, {"picture": str(drawn), "photos": [str(drawn), str(drawn)]}, {"steps": 20, "seconds": 0.15}
    )
    shown = list(front.run(form, "a" * 24, values))
    assert any("of 20" in said for said, *_ in shown)
    assert all(job for *_, job in shown[:-1])
    assert any(preview for _, preview, *_ in shown[:-1])
    assert "preview" not in {said for said, *_ in shown}  # that is a picture, not what is happening
    said, _, film, files, job = shown[-1]
    assert said.startswith("completed") and film is None and job is None
    assert any(path.endswith("done.txt") for path in files)


def test_what_the_server_refuses_is_said(front):
    form = next(form for form in front.forms if form["name"] == "count")
    with pytest.raises(gradio.Error, match="steps is -1: expected 0 to 10000"):
        list(front.run(form, "a" * 24, values_of(form, settings={"steps": -1})))


def test_a_job_may_be_stopped_by_its_own_session_alone(front):
    form = next(form for form in front.forms if form["name"] == "count")
    running = front.run(form, "a" * 24, values_of(form, settings={"steps": 1000, "seconds": 0.1}))
    job = next(job for *_, job in running if job)
    with pytest.raises(gradio.Error):
        front.cancel("b" * 24, job)
    front.cancel("a" * 24, job)
    *_, (said, _, _, _, left) = running
    assert said.startswith("cancelled") and left is None
    front.cancel("a" * 24, None)


def test_every_kind_has_its_form(front):
    from unseen.cli.kinds import all_kinds
    from unseen.serve.routes.jobs import view_of

    front.forms = [view_of(kind) for kind in all_kinds().values()]
    page = front.blocks()
    labels = {block.label for block in page.blocks.values() if hasattr(block, "label")}
    assert {"world", "avatar", "repair", "fit", "convert", "render"} <= labels
    assert {"prompt", "steps"} <= labels
