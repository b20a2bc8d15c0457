"""Sub-commands that are imported only when used, and errors a user can read.

A command's module has ``add_arguments(parser)`` and ``run(args) -> int`` (the exit status), which
prints for persons and sets ``args.report``, what ``--json`` prints instead. What all commands take
is added here (`add_common`).
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import importlib
import importlib.metadata
import io
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, NoReturn

from golden.support.environment import forget_foreign
from golden.support.errors import PotvitError
from golden.support.locations import elsewhere
from golden.support.notes import detail, set_verbosity
from golden.support.packages import cure

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


@dataclass(frozen=True, kw_only=True)
class Help:
    """What ``--help`` shows beside the commands' lines: ``groups``, and ``examples`` of each."""

    groups: Mapping[str, Sequence[str]] = field(default_factory=dict)
    examples: Mapping[str, Sequence[str]] = field(default_factory=dict)


def version() -> str:
    """The project's release, as the installed package has it."""
    try:
        return importlib.metadata.version("potvit")
    except importlib.metadata.PackageNotFoundError:
        return "of a checkout that was not set up"


def main(
    program: str,
    commands: Mapping[str, tuple[str, str]],
    arguments: Sequence[str] | None = None,
    *,
    shown: Help | None = None,
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
        return _run(program, commands, words, shown or Help())
    except PotvitError as error:
        # A file's name may hold anything, a line break too.
        print(f"error: {' '.join(str(error).splitlines())}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        line = cure(error)
        if line is None:
            raise
        print(f"error: {line}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader of our output has left, and so do we
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        if error.errno not in _CURABLE:
            raise
        where = error.filename
        print(f"error: {where or 'output'}: {error.strerror}{elsewhere(where)}", file=sys.stderr)
        return 2
    except MemoryError:
        print("error: out of memory: take fewer pictures at a time", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def _run(
    program: str, commands: Mapping[str, tuple[str, str]], words: list[str], shown: Help
) -> int:
    """Import the chosen command's module (which may take seconds), parse and run."""
    chosen = next((word for word in words if not word.startswith("-")), None)
    raw = argparse.RawDescriptionHelpFormatter
    parser = _Parser(prog=program, formatter_class=raw, epilog=_grouped(commands, shown))
    parser.add_argument("--version", action="version", version=f"potvit {version()}")
    sub = parser.add_subparsers(dest="command", required=True, metavar="command")
    for name, (module_path, summary) in commands.items():
        # Without a help line argparse leaves a command out of its own list.
        listed: dict[str, Any] = {} if shown.groups else {"help": summary}
        examples = "".join(f"\n  {line}" for line in shown.examples.get(name, ()))
        command = sub.add_parser(
            name, description=summary, formatter_class=raw,
            epilog=f"examples:{examples}" if examples else None, **listed,
        )  # fmt: skip
        if name == chosen:
            module = importlib.import_module(module_path)
            module.add_arguments(command)
            add_common(command)
            command.set_defaults(run=module.run)
    args = parser.parse_args(words)
    set_verbosity(verbose=args.verbose, quiet=args.quiet)
    began = time.monotonic()
    status = _run_for_machines(args) if args.json else int(args.run(args))
    detail(f"{program} {args.command}: {time.monotonic() - began:.1f} s")
    sys.stdout.flush()
    return status


def _grouped(commands: Mapping[str, tuple[str, str]], shown: Help) -> str | None:
    """The commands under the titles of their groups."""
    lines = []
    for title, names in shown.groups.items():
        lines += [f"{title}:", *(f"  {name:<14}{commands[name][1]}" for name in names), ""]
    return "\n".join(lines) if lines else None


def add_common(parser: argparse.ArgumentParser) -> None:
    """``--json``, ``-v`` and ``-q``; a command that has a ``-v`` of its own says more there."""
    parser.add_argument(
        "--json", action="store_true", help="print the report as JSON and nothing else"
    )
    if "--verbose" not in parser._option_string_actions:
        parser.add_argument(
            "-v", "--verbose", action="store_true", help="say what is done and how long it takes"
        )
    parser.add_argument(
        "-q", "--quiet", action="store_true", help="no notes and no progress, only errors"
    )


def _run_for_machines(args: argparse.Namespace) -> int:
    """Run with the text for persons left out; then print the report."""
    with contextlib.redirect_stdout(io.StringIO()):
        status = int(args.run(args))
    print(json.dumps(args.report, indent=1))
    return status


def _end(number: int, frame: FrameType | None) -> None:
    """Leave through every ``finally``, which death by the signal would not."""
    raise SystemExit(128 + number)
