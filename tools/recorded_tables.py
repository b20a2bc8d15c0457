"""The README's tables of recorded figures, each from a file in docs/data."""

from collections.abc import Callable

from tools.recorded_runs import accuracy, exploration, lost_cycles, performance, speed, traffic
from tools.recorded_syntheses import ablations, area, area_parts, fpga

RECORDED: dict[str, Callable[[], str]] = {
    "accuracy": accuracy,
    "speed": speed,
    "performance": performance,
    "traffic": traffic,
    "lost-cycles": lost_cycles,
    "exploration": exploration,
    "area": area,
    "area-parts": area_parts,
    "ablations": ablations,
    "fpga": fpga,
}
