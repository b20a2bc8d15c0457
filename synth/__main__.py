"""``python -m synth <command>``: area and timing by open tools."""

import sys

from golden.support.command_line import main

#: Command to module and help line; a module is imported only for its own command.
COMMANDS = {
    "run": ("synth.run_command", "area or timing of a configuration for one target"),
}

if __name__ == "__main__":
    sys.exit(main("python -m synth", COMMANDS))
