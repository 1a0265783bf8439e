"""Splits: those of the package make sense, files are read or refused, and a run of one leaves a table."""

import json

import pytest

from repairing import write_album
from unseen.core.errors import FormatError, InputError
from unseen.jobs.progress import Silent
from unseen.jobs.repair.protocol import read_split, rows, run_protocol, runs_of
from unseen.synthetic.scenes.catalogue import JUDGED_FROM


def test_the_splits_of_the_package():
    sparse, good = read_split("sparse"), read_split("good")
    assert {run.number for run in runs_of(sparse)} == {10, 35, 50, 100} and len(runs_of(sparse)) == 12
    assert all(run.way == "holdout" for run in runs_of(good))
    assert all(c.seed >= JUDGED_FROM for split in (sparse, good, read_split("quick")) for c in split.captures)


@pytest.mark.parametrize(
    ("content", "error", "problem"),
    [
        ("{", FormatError, "is no split"),
        ("[]", FormatError, "is no split"),
        ('{"captures": [{"name": "a", "scene": "moon"}]}', InputError, "expected a folder, or a scene"),
        ('{"captures": [{"name": "a", "scene": "room", "seed": 3}]}', InputError, "held out"),
        ('{"captures": [{"name": "a", "scene": "room", "keeps": [3]}]}', FormatError, "has no 'keeps'"),
    ],
)
def test_files_that_are_no_splits(tmp_path, content, error, problem):
    (tmp_path / "split.json").write_text(content)
    with pytest.raises(error, match=problem):
        read_split(str(tmp_path / "split.json"))


def test_no_such_split():
    with pytest.raises(InputError, match="expected good, quick, sparse, or a JSON file"):
        read_split("dense")


def test_a_split_of_a_folder(tmp_path):
    """Run once, tabled, and not run again."""
    write_album(tmp_path / "album")
    capture = {"name": "blobs", "folder": "album", "keep": [4], "holdout": [8]}
    file = tmp_path / "split.json"
    file.write_text(json.dumps({"captures": [capture], "steps": 30, "max_splats": 800, "judged": 3}))
    split = read_split(str(file))
    found = run_protocol(split, tmp_path / "out", "none", lambda: None, "cpu", Silent())
    assert [(row["way"], row["photos"]) for row in found["rows"]] == [("keep", 6), ("holdout", 21)]
    assert json.loads((tmp_path / "out" / "protocol.json").read_text()) == found
    table = rows(found)
    assert len(table) == 5 and "every 4th" in table[1] and table[3].startswith("mean")
    ply = tmp_path / "out" / "runs" / "blobs-keep-4-none" / "scene.ply"
    written = ply.stat().st_mtime_ns
    assert run_protocol(split, tmp_path / "out", "none", lambda: None, "cpu", Silent()) == found
    assert ply.stat().st_mtime_ns == written
    file.write_text(json.dumps({"captures": [capture], "steps": 31, "max_splats": 800, "judged": 3}))
    with pytest.raises(InputError, match="another fit"):
        run_protocol(read_split(str(file)), tmp_path / "out", "none", lambda: None, "cpu", Silent())
