import errno
import os
import stat
import sys

import pytest

from unseen.core.errors import ResourceError
from unseen.io.atomic import atomic_write, make_folder, write_bytes, write_json, write_text


def test_replaces_the_file_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "a.json"
    write_text(path, "old")
    write_json(path, {"x": [1, 2]})
    assert path.read_text() == '{\n  "x": [\n    1,\n    2\n  ]\n}\n'
    assert os.listdir(tmp_path) == ["a.json"]


def test_temporary_path_keeps_the_suffix_and_stands_beside_the_target(tmp_path):
    with atomic_write(tmp_path / "film.mp4") as temporary:
        assert temporary.suffix == ".mp4" and temporary.parent == tmp_path and temporary.exists()
        temporary.write_bytes(b"x")
        assert not (tmp_path / "film.mp4").exists()
    assert (tmp_path / "film.mp4").read_bytes() == b"x"


@pytest.mark.parametrize("error", [RuntimeError("no"), KeyboardInterrupt()])
def test_a_failing_body_keeps_the_old_file(tmp_path, error):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    with pytest.raises(type(error)), atomic_write(path) as temporary:
        temporary.write_bytes(b"half")
        raise error
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["a.bin"]


@pytest.mark.parametrize(
    ("code", "words"),
    [(errno.ENOSPC, "disk is full"), (errno.EACCES, "permission denied"), (errno.EROFS, "read-only")],
)
def test_a_refusal_of_the_disk_is_one_line(tmp_path, monkeypatch, code, words):
    def refuse(descriptor):
        raise OSError(code, "refused")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(ResourceError, match=words) as caught:
        write_bytes(tmp_path / "a.bin", b"x")
    assert "a.bin" in str(caught.value) and "\n" not in str(caught.value)
    assert os.listdir(tmp_path) == []


def test_missing_folder_folder_in_the_way_and_device(tmp_path):
    with pytest.raises(ResourceError, match=r"cannot write .*b\.bin: its folder does not exist"):
        write_bytes(tmp_path / "a" / "b.bin", b"")
    (tmp_path / "folder").mkdir()
    with pytest.raises(ResourceError, match="a folder of that name"):
        write_bytes(tmp_path / "folder", b"")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ResourceError, match="is a file, not a folder"):
        write_bytes(tmp_path / "file" / "b.bin", b"")
    if os.path.exists("/dev/null"):
        with pytest.raises(ResourceError, match="not a regular file"):
            write_bytes("/dev/null", b"")
        assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_errors_about_other_files_are_left_alone(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_write(tmp_path / "a.bin"):
        (tmp_path / "input.bin").read_bytes()


@pytest.mark.skipif(sys.platform == "win32", reason="symbolic links")
def test_follows_a_link_and_gives_ordinary_permissions(tmp_path):
    real, link = tmp_path / "real.txt", tmp_path / "link.txt"
    real.write_text("old")
    link.symlink_to(real)
    write_text(link, "new")
    assert link.is_symlink() and real.read_text() == "new"
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(real.stat().st_mode) == 0o666 & ~mask


def test_make_folder(tmp_path):
    assert make_folder(tmp_path / "a" / "b").is_dir()
    make_folder(tmp_path / "a" / "b")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ResourceError, match="a file of that name"):
        make_folder(tmp_path / "file")
    with pytest.raises(ResourceError, match="is a file, not a folder"):
        make_folder(tmp_path / "file" / "c")
