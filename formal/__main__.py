"""``python -m formal <command>``: the proofs' command line."""

import sys

from golden.support.command_line import main

#: Command to module and help line; a module is imported only for its own command.
COMMANDS = {"prove": ("formal.commands.prove", "decide every proof and write the table")}

if __name__ == "__main__":
    sys.exit(main("python -m formal", COMMANDS))
