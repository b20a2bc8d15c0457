"""Sub-commands that are imported only when used, and errors a user can read.

A command's module has ``add_arguments(parser)`` and ``run(args) -> int`` (the exit status).
"""

import argparse
import errno
import importlib
import sys
from collections.abc import Mapping, Sequence

from golden.errors import PotvitError


def main(
    program: str, commands: Mapping[str, tuple[str, str]], arguments: Sequence[str] | None = None
) -> int:
    """Run one of `commands` (name to module path and help line); the process's exit status.

    Status 2 with one line on standard error for what the user can cure, 130 when interrupted.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    chosen = next((word for word in words if not word.startswith("-")), None)
    parser = argparse.ArgumentParser(prog=program)
    sub = parser.add_subparsers(dest="command", required=True, metavar="command")
    for name, (module_path, summary) in commands.items():
        command = sub.add_parser(name, help=summary, description=summary)
        if name == chosen:
            module = importlib.import_module(module_path)
            module.add_arguments(command)
            command.set_defaults(run=module.run)
    args = parser.parse_args(words)
    try:
        return int(args.run(args))
    except PotvitError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EDQUOT):
            raise
        print(f"error: {error.filename or 'output'}: {error.strerror}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
