"""Work shared by several processes."""

import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from unseen.core.errors import ResourceError
from unseen.synthetic.processes import shared_out

PROGRAM = """
import sys
from pathlib import Path
from test_shared_work import wait_in
from unseen.synthetic.processes import shared_out
if __name__ == "__main__":
    list(shared_out(wait_in, [Path(sys.argv[1])] * 2, 2))
"""


def squared(number):
    return number**2


def vanish(_):
    os._exit(1)


def wait_in(folder):
    (folder / str(os.getpid())).touch()
    time.sleep(600)


def test_results_come_in_order():
    assert list(shared_out(squared, range(5), 2)) == [0, 1, 4, 9, 16]


def test_a_process_that_is_ended_is_told_of():
    with pytest.raises(ResourceError, match="one of 2 processes was ended"):
        list(shared_out(vanish, range(2), 2))


def test_processes_end_with_the_one_they_work_for(tmp_path):
    path = os.pathsep.join([str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)
    (begun := tmp_path / "begun").mkdir()
    program = subprocess.Popen([sys.executable, str(script), str(begun)], env=os.environ | {"PYTHONPATH": path})
    try:
        eventually(lambda: len(list(begun.iterdir())) == 2)
    finally:
        program.kill()
        program.wait()
    eventually(lambda: not any(is_running(int(file.name)) for file in begun.iterdir()))


def is_running(pid):
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def eventually(holds, seconds=60):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.1)
