"""What `unseen serve` offers of the commands."""

from pathlib import Path

import pytest

from unseen.cli.kinds import RECIPES, all_kinds
from unseen.cli.parameters import parameters_of
from unseen.core.errors import InputError

FOREIGN = {"device", "json", "debug", "out", "model", "image_root", "config", "resume", "track_from", "head_model"}


@pytest.fixture(scope="module")
def kinds():
    return all_kinds()


def test_no_setting_names_a_file_a_folder_or_a_program(kinds):
    for kind in kinds.values():
        names = {setting.name for setting in kind.settings}
        assert not names & FOREIGN, kind.name
        parameters = parameters_of(kind.name)
        assert not [n for n in names if n in parameters and parameters[n].type is Path]
        texts = {s.name for s in kind.settings if s.type == "text"}
        assert texts <= {"prompt", "size", "export"}


def test_settings_are_the_commands_own(kinds):
    steps = next(s for s in kinds["world"].settings if s.name == "steps")
    assert (steps.type, steps.minimum, steps.maximum) == ("integer", 1, 1000) and "Denoising" in steps.help
    quality = next(s for s in kinds["fit"].settings if s.name == "quality")
    assert quality.choices == ("preview", "default", "best") and quality.default == "default"
    assert all(kind.title and kind.settings and kind.results for kind in kinds.values())


def test_commands_are_written_so_that_no_value_is_an_option(kinds, tmp_path):
    world = kinds["world"].command({}, {"prompt": "--model=/etc", "ply": True, "feedback": False}, tmp_path)
    assert world[3:] == ["world", "--prompt=--model=/etc", "--ply", "--no-feedback", f"--out={tmp_path}", "--json"]
    photos = [tmp_path / "0000.png", tmp_path / "0001.jpg"]
    assert kinds["fit"].command({"photos": photos}, {}, tmp_path)[4] == str(tmp_path)
    video = [tmp_path / "0000.mp4"]
    assert kinds["fit"].command({"photos": video}, {}, tmp_path)[4] == str(video[0])
    convert = kinds["convert"].command({"source": [tmp_path / "a.ply"]}, {"format": ".html", "up": "-y"}, tmp_path)
    assert convert[4:] == [str(tmp_path / "a.ply"), str(tmp_path / "scene.html"), "--up=-y", "--json"]
    render = kinds["render"].command({"source": photos[:1], "cameras": [tmp_path / "c.json"]}, {}, tmp_path)
    assert f"--path={tmp_path / 'c.json'}" in render


def test_the_owner_sets_options_for_all_jobs(kinds):
    ours = all_kinds(["world.model=/models/big", "world.offload=true", "avatar.device=cuda"])
    assert {"--model=/models/big", "--offload"} <= set(ours["world"].command({}, {}, Path("o")))
    assert "--device=cuda" in ours["avatar"].command({}, {}, Path("o"))
    for wrong in ("world", "none.model=1", "world.none=1", "convert.source=1"):
        with pytest.raises(InputError, match="--set"):
            all_kinds([wrong])


def test_a_world_needs_something_to_show(kinds):
    world = kinds["world"]
    world.check_complete({}, {"prompt": "a room"})
    world.check_complete({"input": 1}, {})
    for inputs, settings in (({}, {}), ({}, {"prompt": "  "}), ({"input": 1}, {"prompt": "x"}), ({"cameras": 1}, {})):
        with pytest.raises(InputError):
            world.check_complete(inputs, settings)


def test_every_recipe_names_what_its_command_has():
    for name, recipe in RECIPES.items():
        parameters = parameters_of(name)
        assert {recipe.names.get(i, i) for i in recipe.inputs} <= set(parameters)
        assert set(recipe.settings) <= set(parameters) and recipe.out[0] in parameters
