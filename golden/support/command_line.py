"""Sub-commands that are imported only when used, and errors a user can read.

A command's module has ``add_arguments(parser)`` and ``run(args) -> int`` (the exit status).
"""

import argparse
import errno
import importlib
import io
import os
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from types import FrameType
from typing import NoReturn

from golden.support.environment import forget_foreign
from golden.support.errors import PotvitError

#: What the user can cure about a path: full, not writable, or something else in its place.
_CURABLE = {
    errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR,
    errno.EEXIST, errno.EISDIR,
}  # fmt: skip


class _Parser(argparse.ArgumentParser):
    """Answers a wrong command line with one line, as every other mistake is answered."""

    def error(self, message: str) -> NoReturn:
        """Exit with status 2."""
        self.exit(2, f"error: {message} (see {self.prog} --help)\n")


def main(
    program: str, commands: Mapping[str, tuple[str, str]], arguments: Sequence[str] | None = None
) -> int:
    """Run one of `commands` (name to module path and help line); the process's exit status.

    Variables that are meant for other programs leave the environment first (`forget_foreign`).
    Status 2 with one line on standard error for what the user can cure, 130 when interrupted, 143
    when terminated; children end and partial files go in either case.
    """
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, _end)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Names of files and classes that the terminal's encoding lacks are shown as escapes.
        sys.stdout.reconfigure(errors="backslashreplace")
    forget_foreign()
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _run(program, commands, words)
    except PotvitError as error:
        # A file's name may hold anything, a line break too.
        print(f"error: {' '.join(str(error).splitlines())}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader of our output has left, and so do we
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        if error.errno not in _CURABLE:
            raise
        print(f"error: {error.filename or 'output'}: {error.strerror}", file=sys.stderr)
        return 2
    except MemoryError:
        print("error: out of memory: take fewer pictures at a time", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def _run(program: str, commands: Mapping[str, tuple[str, str]], words: list[str]) -> int:
    """Import the chosen command's module (which may take seconds), parse and run."""
    chosen = next((word for word in words if not word.startswith("-")), None)
    parser = _Parser(prog=program)
    sub = parser.add_subparsers(dest="command", required=True, metavar="command")
    for name, (module_path, summary) in commands.items():
        command = sub.add_parser(name, help=summary, description=summary)
        if name == chosen:
            module = importlib.import_module(module_path)
            module.add_arguments(command)
            command.set_defaults(run=module.run)
    args = parser.parse_args(words)
    status = int(args.run(args))
    sys.stdout.flush()
    return status


def _end(number: int, frame: FrameType | None) -> None:
    """Leave through every ``finally``, which death by the signal would not."""
    raise SystemExit(128 + number)
