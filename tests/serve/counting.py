"""A job for tests: it counts to a number, goes on where it was killed, and notes the end of every whole run.

python counting.py OUT --steps=N --seconds=S [--hoard=MIB] [--child] [--fail=TEXT] [--size=MIB]
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("out", type=Path)
parser.add_argument("--steps", type=int, default=3)
parser.add_argument("--seconds", type=float, default=0.02)
parser.add_argument("--hoard", type=int, default=0)
parser.add_argument("--size", type=int, default=0)
parser.add_argument("--child", action="store_true")
parser.add_argument("--fail", default="")
asked = parser.parse_args()


def tell(event):
    os.write(int(os.environ["UNSEEN_PROGRESS"]), json.dumps(event).encode() + b"\n")


def write(name, text):
    temporary = asked.out / f".{name}"
    temporary.write_text(text)
    os.replace(temporary, asked.out / name)


asked.out.mkdir(exist_ok=True)
counter, done = asked.out / "count.txt", asked.out / "done.txt"
if done.is_file():  # it was killed after its last file, before its end was noted
    sys.exit()
if asked.child:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    write("child.txt", str(child.pid))
hoard = bytearray(asked.hoard << 20)
hoard[::4096] = b"x" * len(hoard[::4096])
if asked.size:
    (asked.out / "large.bin").write_bytes(bytes(asked.size << 20))
if asked.fail:
    sys.exit(f"error: {asked.fail}")
start = int(counter.read_text()) if counter.is_file() else 0
for step in range(start, asked.steps):
    time.sleep(asked.seconds)
    write("count.txt", str(step + 1))
    write("picture.png", "not really one")
    tell({"stage": "counting", "done": step + 1, "total": asked.steps})
write("done.txt", (done.read_text() if done.is_file() else "") + f"{os.getpid()}\n")
