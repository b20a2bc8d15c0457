"""``python -m sim <command>``: networks in the simulated accelerator."""

import sys

from golden.command_line import main

#: Command to module and help line; a module is imported only for its own command.
COMMANDS = {
    "run": ("sim.run_command", "every tensor of a network in RTL against the golden model"),
    "report": ("sim.report.command", "one page on a run: cycles, area, traffic, peers"),
    "explore": ("sim.explore.command", "configurations for a model by cycles and area"),
    "classify": ("sim.classify_command", "a picture in, the five likeliest classes from RTL out"),
}

if __name__ == "__main__":
    sys.exit(main("python -m sim", COMMANDS))
