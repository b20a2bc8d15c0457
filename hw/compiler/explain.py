"""Why a program is as it is: what was compared, where tensors live, what the bus carries."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from hw.compiler.plan.allocate import Plan
from hw.compiler.step import Step
from hw.config import Config
from hw.formats.memories import Space, memories
from hw.isa.instruction import INSTR_BYTES
from hw.isa.payload import Gather, Load, Scatter, Store
from hw.lib.numbers import round_up
from hw.program.regions import Region, Regions


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """Bytes over the bus in one run, and the least that the same homes could do with.

    ``parameters`` counts every load of weights, tables and constants, ``spilled`` tensors on
    their way out and in, ``rest`` the picture, the program and the results. At least, parameters
    come once and each spilled block goes out once and comes back once, as here.
    """

    parameters: int
    spilled: int
    rest: int
    least: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.parameters + self.spilled + self.rest

    def line(self, cycles: int, config: Config) -> str:
        """For a reader, with the share of the bus in a run of ``cycles``."""
        share = self.total / config.axi_bytes / cycles if cycles else 0.0
        return (
            f"DMA: parameters {self.parameters:,} bytes, spilled {self.spilled:,}, picture, "
            f"program and results {self.rest:,}; {self.total / self.least:.2f} times the least "
            f"({self.least:,}); {share:.0%} of the bus"
        )


def traffic(steps: list[Step], regions: Regions, config: Config) -> Traffic:
    """What the bus carries for ``steps`` and their fetch."""
    beat = config.axi_bytes
    moved = dict.fromkeys(Region, 0)
    for step in steps:
        if isinstance(step.body, Load | Gather | Scatter | Store):
            made = step.footprint(config)
            moved[step.region] += (made.beats_in + made.beats_out) * beat
    program = round_up((len(steps) + 1) * INSTR_BYTES, beat)
    rest = moved[Region.PICTURE] + moved[Region.OUTPUTS] + program
    spilled, once = moved[Region.SPILL], regions[Region.PARAMETERS].size
    return Traffic(
        parameters=moved[Region.PARAMETERS],
        spilled=spilled,
        rest=rest,
        least=once + spilled + rest,
    )


def _compared(compared: list[tuple[int | None, str]]) -> list[str]:
    """What was compared, counts with the same outcome together."""
    lines = []
    for what, group in itertools.groupby(compared, key=lambda pair: pair[1]):
        counts = [count or "streamed" for count, _ in group]
        ends = counts if len(counts) == 1 else [counts[0], counts[-1]]
        lines.append(f"{' to '.join(map(str, ends))}: {what}")
    return lines


def explain(
    compared: list[tuple[int | None, str]], plan: Plan, moved: Traffic, cycles: int, config: Config
) -> tuple[str, ...]:
    """Lines for a reader: ``compared`` are numbers of token blocks and what came of them."""
    found = "; ".join(_compared(compared))
    lines = [
        f"token blocks of the MLP, compared: {found}",
        f"chosen: {len(plan.parts)}, projection {len(plan.adds)}, patch embedding "
        f"{len(plan.embeds)}",
    ]
    token = plan.residual_stride * config.cols
    have = config.residual_words // plan.residual_stride
    lines.append(
        f"residual stream, {plan.tokens} tokens of {token} bytes: "
        + ("RESIDUAL" if plan.resident else f"DRAM (RESIDUAL holds {have} tokens)")
    )
    attn = plan.groups * plan.attn.stride * memories(config)[Space.ACT].bytes_
    lines.append(
        f"results of attention, {attn:,} bytes: "
        + ("ACT" if plan.attn_resident else "DRAM, head by head")
    )
    if plan.streamed:
        lines.append(
            f"outputs of LayerNorm, {plan.groups * plan.x.stride:,} words: DRAM, through ACT in "
            f"blocks of {plan.streamed.groups} row groups"
        )
    hidden = "of all tokens" if plan.whole_hidden else "of one block at a time"
    lines.append(f"hidden layer {hidden}: ACT")
    lines += [f"{name}: {used:,} of {words:,} words" for name, (used, words) in plan.used.items()]
    return (*lines, moved.line(cycles, config))
