"""``python -m hw <command>``: the accelerator's command line."""

import sys

from golden.command_line import main

#: Command to module and help line; a module is imported only for its own command.
COMMANDS = {
    "verilog": ("hw.verilog_command", "write the accelerator's Verilog and its description"),
    "compile": ("hw.compiler.compile_command", "turn an integer bundle into a program"),
}

if __name__ == "__main__":
    sys.exit(main("python -m hw", COMMANDS))
