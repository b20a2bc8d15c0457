"""``potvit COMMAND``: every command of the project behind one name.

The commands are those of ``python -m golden``, ``hw``, ``sim``, ``synth`` and ``formal``.
"""

import sys
from collections.abc import Sequence

from formal.__main__ import COMMANDS as FORMAL
from golden.__main__ import COMMANDS as GOLDEN
from golden.support.command_line import Help, main
from hw.__main__ import COMMANDS as HW
from potvit.examples import EXAMPLES
from sim.__main__ import COMMANDS as SIM
from synth.__main__ import COMMANDS as SYNTH

#: Command to module and help line, in the order in which a user meets them.
COMMANDS = {
    **{
        name: GOLDEN[name] for name in ("eval", "export", "study", "bench", "train", "train-digits")
    },
    **HW,
    "package": ("potvit.commands.package", "a folder that drops into a hardware project"),
    "synth": SYNTH["run"],
    "prove": FORMAL["prove"],
    "sim": SIM["run"],
    "sim-bench": SIM["bench"],
    **{name: SIM[name] for name in ("classify", "report", "explore", "search", "fuzz")},
    "doctor": GOLDEN["doctor"],
}

GROUPS = {
    "networks": ("eval", "export", "study", "bench", "train", "train-digits"),
    "hardware": ("verilog", "compile", "package", "synth", "prove"),
    "networks in hardware": ("sim", "sim-bench", "classify", "report", "explore", "search", "fuzz"),
    "this machine": ("doctor",),
}


def run(arguments: Sequence[str] | None = None) -> int:
    """The console command; its exit status."""
    return main("potvit", COMMANDS, arguments, shown=Help(groups=GROUPS, examples=EXAMPLES))


if __name__ == "__main__":
    sys.exit(run())
