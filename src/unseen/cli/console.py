"""What people see: progress bars on stderr, one clear line per error, results on stdout."""

from __future__ import annotations

import functools
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from unseen.core.errors import ResourceError, UnseenError
from unseen.jobs.progress import LineReporter, Reporter

STDERR = Console(stderr=True)


class RichReporter:
    """Progress bars for stages that take over `DELAY_S` seconds; plain lines where stderr is no terminal."""

    DELAY_S = 2.0

    def __init__(self, quiet: bool) -> None:
        self.quiet = quiet
        columns = (TextColumn("{task.description:<22}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self.bars = Progress(*columns, console=STDERR, transient=False)
        self.tasks: dict[str, TaskID] = {}
        self.began: dict[str, float] = {}

    def stage(self, name: str, done: int, total: int) -> None:
        """Show how far the stage is."""
        if self.quiet:
            return
        start = self.began.setdefault(name, time.monotonic())
        elapsed = time.monotonic() - start
        if not STDERR.is_terminal:
            if done >= total:
                STDERR.print(f"{name}: {total} done in {elapsed:.1f} s", highlight=False)
                self.began.pop(name)
            return
        if name not in self.tasks:
            if elapsed < self.DELAY_S:
                return
            self.tasks[name] = self.bars.add_task(name, total=total)
        self.bars.update(self.tasks[name], completed=done, total=total)
        if done >= total:
            self.tasks.pop(name)
            self.began.pop(name)

    def note(self, message: str) -> None:
        """Print one line."""
        if not self.quiet:
            STDERR.print(f"note: {message}", highlight=False)


@contextmanager
def reporting(quiet: bool) -> Iterator[Reporter]:
    """A reporter whose bars are drawn while the block runs; or one that tells the program that waits for it."""
    listener = os.environ.get(LineReporter.VARIABLE, "")
    reporter = LineReporter(int(listener)) if listener.isdecimal() else RichReporter(quiet)
    with _compilation_noted(reporter):
        if not isinstance(reporter, RichReporter) or quiet or not STDERR.is_terminal:
            yield reporter
            return
        with reporter.bars:
            yield reporter


@contextmanager
def _compilation_noted(reporter: Reporter) -> Iterator[None]:
    """Says so, once, when the block has to compile kernels that no cache holds: a first job waits for it."""
    from numba.core import event

    class Listener(event.Listener):
        told = False

        def on_start(self, event: Any) -> None:
            if not self.told:
                self.told = True
                reporter.note("compiling kernels: once on this machine, some 20 s (unseen doctor --warm does it ahead)")

        def on_end(self, event: Any) -> None:
            """Nothing to say."""

    with event.install_listener("numba:compile", Listener()):
        yield


def show(result: dict[str, Any], as_json: bool, lines: list[str]) -> None:
    """Print a result: JSON for machines, or the given lines for people."""
    if as_json:
        print(json.dumps(result, indent=2))
    else:
        for line in lines:
            print(line)


def guarded(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose errors become one line and an exit code; `--debug` shows the traceback as well."""

    @functools.wraps(command)
    def run(*args: Any, **options: Any) -> None:
        try:
            command(*args, **options)
        except UnseenError as error:
            fail(str(error), error.exit_code, bool(options.get("debug")))
        except MemoryError:
            message = "out of memory: lower --max-side, or close other programs"
            fail(message, ResourceError.exit_code, bool(options.get("debug")))
        except KeyboardInterrupt:
            fail("interrupted", 130, False)
        except Exception as error:
            fail(
                f"unexpected {type(error).__name__}: {error} (a defect of unseen: report it with what --debug prints)",
                70,
                bool(options.get("debug")),
            )

    return run


def fail(message: str, code: int, debug: bool) -> None:
    """Print one error line on stderr and leave with `code`."""
    if debug:
        traceback.print_exc()
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    raise SystemExit(code)
