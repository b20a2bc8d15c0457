"""``python -m sim <command>``: networks in the simulated accelerator."""

import sys

from golden.support.command_line import main

#: Command to module and help line; a module is imported only for its own command.
COMMANDS = {
    "run": ("sim.commands.run", "every tensor of a network in RTL against the golden model"),
    "bench": ("sim.commands.bench", "how fast a network simulates, beside another checkout"),
    "report": ("sim.commands.report", "one page on a run: cycles, area, traffic, peers"),
    "explore": ("sim.commands.explore", "configurations for a model by cycles and area"),
    "search": ("sim.commands.search", "which layers get 4-bit weights, by cycles and fidelity"),
    "fuzz": ("sim.commands.fuzz", "corrupt programs end in words, inside their window"),
    "classify": ("sim.commands.classify", "a picture in, the five likeliest classes from RTL out"),
}

if __name__ == "__main__":
    sys.exit(main("python -m sim", COMMANDS))
