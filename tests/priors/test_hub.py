import pytest

from unseen.core.errors import InputError, ResourceError
from unseen.priors.hub import model_folder


def test_folders_are_themselves(tmp_path):
    assert model_folder(tmp_path) == tmp_path


@pytest.mark.parametrize("name", ["nothing here", "a/b/c", "./absent", ""])
def test_what_is_neither_folder_nor_id_is_told(name):
    with pytest.raises(InputError, match="owner/name"):
        model_folder(name + "?")


def test_what_is_not_here_and_cannot_be_fetched_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ResourceError, match="someone/model"):
        model_folder("someone/model")


def test_what_was_fetched_once_is_found_without_a_network(tmp_path, monkeypatch):
    """The hub's own cache layout, as it lies on disk."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    commit = "0" * 40
    kept = tmp_path / "models--someone--model"
    (kept / "snapshots" / commit).mkdir(parents=True)
    (kept / "snapshots" / commit / "model_index.json").write_text("{}")
    (kept / "refs").mkdir()
    (kept / "refs" / "main").write_text(commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    import huggingface_hub._snapshot_download as module

    if hasattr(module, "HF_HUB_CACHE"):
        monkeypatch.setattr(module, "HF_HUB_CACHE", str(tmp_path))
    assert (model_folder("someone/model") / "model_index.json").is_file()
