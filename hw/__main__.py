"""``python -m hw <command>``: the accelerator's command line."""

import sys

from golden.support.command_line import main

#: Command to module and help line; a module is imported only for its own command.
COMMANDS = {
    "verilog": ("hw.commands.verilog", "write the accelerator's Verilog and its description"),
    "compile": ("hw.commands.compile", "turn an integer bundle into a program"),
}

if __name__ == "__main__":
    sys.exit(main("python -m hw", COMMANDS))
