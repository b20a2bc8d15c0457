"""A windowed network and a configuration to a program: all parts in the array's order."""

from __future__ import annotations

import math

from golden.graph import ir
from hw.compiler.assemble import Variant, assemble
from hw.compiler.explain import Traffic
from hw.compiler.finish import finish
from hw.compiler.image.layout import Dram
from hw.compiler.predict.timing import Timing
from hw.compiler.step import Step
from hw.compiler.windowed.band import Band
from hw.compiler.windowed.block import BlockLowering
from hw.compiler.windowed.embed import PatchLowering
from hw.compiler.windowed.emitter import WindowEmitter
from hw.compiler.windowed.ending import EndLowering
from hw.compiler.windowed.merging import MergingLowering
from hw.compiler.windowed.network import WindowedNetwork, read_windowed
from hw.compiler.windowed.plan import plan_windows
from hw.compiler.windowed.refuse import check_windowed
from hw.config import Config
from hw.formats.memories import Space, memories
from hw.lib.numbers import round_up
from hw.program.program import Program


def compile_windowed(
    graph: ir.Graph, config: Config, variant: Variant, most: int | None, timing: Timing
) -> Program:
    """Compile ``graph``, whose attention stays inside windows, for ``config``.

    ``most`` windows are in a band at most, or all that fit. Raises ``PotvitError`` for a network
    that this configuration cannot run, naming the reason or the buffer and what it lacks.
    """
    network = read_windowed(graph)
    check_windowed(network, config)
    tried = []
    for overlap in (True, False):
        emitter, pitch = lower_windowed(network, config, most, variant, overlap=overlap)
        made = finish(emitter, emitter.outputs, network.image_shape, pitch, variant, timing)
        tried.append((made.run.cycles, emitter, made))
        if not any(band and band.overlaps for band in emitter.plan.bands):
            break
    _, emitter, made = min(tried, key=lambda found: found[0])
    bands = [band for band in emitter.plan.bands if band is not None]
    used = used_words(emitter, config)
    return assemble(
        network, config, made, network.useful_macs(), max((b.windows for b in bands), default=1),
        used, lambda moved: _reasons(bands, used, moved, made.run.cycles, config),
    )  # fmt: skip


def _reasons(
    bands: list[Band],
    used: dict[str, tuple[int, int]],
    moved: Traffic,
    cycles: int,
    config: Config,
) -> tuple[str, ...]:
    """Lines for a reader."""
    lines = [f"bands of the stages: {', '.join(_band(b) for b in bands)}"]
    lines.append("residual stream: DRAM, in RESIDUAL band by band in window order")
    lines += [f"{name}: {words:,} of {have:,} words" for name, (words, have) in used.items()]
    return (*lines, moved.line(cycles, config))


def _band(band: Band) -> str:
    return f"{band.windows} windows {band.way.value}".rstrip()


def lower_windowed(
    network: WindowedNetwork, config: Config, most: int | None, variant: Variant, *, overlap: bool
) -> tuple[WindowEmitter, int]:
    """Steps of ``network`` in bands of at most ``most`` windows; bytes from picture to picture.

    ``overlap``: a band's MLP follows the attention of the next band where there is room.
    """
    plan = plan_windows(network, config, most, overlap=overlap)
    dram = Dram(config, shared=variant.pictures > 1)
    emitter = WindowEmitter(config, plan, dram, network.graph, variant.checkpoints)
    pitch = round_up(math.prod(network.image_shape), dram.burst)
    for number in range(variant.pictures):
        emitter.outputs.begin_picture()
        _lower_picture(network, emitter, number * pitch)
    return emitter, pitch


def _lower_picture(network: WindowedNetwork, emitter: WindowEmitter, picture: int) -> None:
    embed = PatchLowering(network, emitter, picture)
    last: Step | None = embed.lower()
    home = embed.home
    for number, stage in enumerate(network.stages):
        if stage.merging is not None:
            merging = MergingLowering(stage.merging, home, number, emitter)
            last, home = merging.lower(last), merging.home
        band = emitter.plan.bands[number]
        for block in stage.blocks:
            assert band is not None
            last = BlockLowering(block, band, home, emitter).lower(last)
    EndLowering(network, home, emitter).lower(last)
    emitter.norms.forget()


def used_words(emitter: WindowEmitter, config: Config) -> dict[str, tuple[int, int]]:
    """Words used and available of the memories."""
    bands = [band for band in emitter.plan.bands if band is not None]

    def most(space: Space) -> int:
        return max((band.used[space] for band in bands), default=0)

    used = {
        Space.ACT: max(most(Space.ACT), emitter.act_used),
        Space.STREAM: config.stream_words,
        Space.VALUE: most(Space.VALUE),
        Space.NORM: emitter.norms.most,
        Space.LOGIT: emitter.plan.slots * emitter.plan.key_tiles,
        Space.RESIDUAL: emitter.residuals.most,
    }
    return {space.name: (words, memories(config)[space].words) for space, words in used.items()}
