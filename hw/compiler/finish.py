"""Steps of a whole network to a candidate: one order, regions, semaphores, a predicted run."""

from __future__ import annotations

import math

from golden.support.errors import PotvitError
from hw.compiler.assemble import Candidate, Variant
from hw.compiler.image.stored import Stored
from hw.compiler.lower.products import Products
from hw.compiler.order.merge import merge
from hw.compiler.order.schedule import program_order
from hw.compiler.predict.timing import Timing
from hw.config import Config
from hw.isa.instruction import INSTR_BYTES
from hw.isa.payload import Load
from hw.program.regions import Extent, Region, lay_out, window_bytes


def finish(
    emitter: Products,
    outputs: Stored,
    image_shape: tuple[int, int, int],
    pitch: int,
    variant: Variant,
    timing: Timing,
) -> Candidate:
    """Order what ``emitter`` has emitted; pictures lie ``pitch`` bytes apart.

    Raises ``PotvitError`` where loads find no room or the window would pass its limit.
    """
    config: Config = emitter.config
    steps = merge(emitter.main, emitter.loads, config, emitter.ring)
    regions = lay_out(
        {
            Region.PARAMETERS: emitter.dram.size,
            Region.PROGRAM: (len(steps) + 1) * INSTR_BYTES,
            Region.PICTURE: (variant.pictures - 1) * pitch + math.prod(image_shape),
            Region.SPILL: emitter.spill,
            Region.OUTPUTS: outputs.size,
        }
    )
    window = window_bytes(regions)
    if window >= 1 << Load.width("dram"):
        raise PotvitError(f"the program needs a window of {window} bytes, more than 4 GB")
    for step in steps:
        step.locate(regions)
        step.declare(config)
    first = regions[Region.SPILL].offset
    writable = Extent(offset=first, size=window - first)
    order, ordering, run = program_order(steps, config, timing, writable, serial=variant.serial)
    return Candidate(
        variant=variant,
        pitch=pitch,
        emitter=emitter,
        outputs=outputs,
        steps=steps,
        order=order,
        ordering=ordering,
        run=run,
        regions=regions,
    )
