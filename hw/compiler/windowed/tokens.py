"""Token runs of a windowed network: the stream's home in DRAM, grid order; RESIDUAL, any order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from golden.ops.windows import Run, Windows
from hw.compiler.lower.products import Products
from hw.compiler.step import Demand, Step
from hw.formats.memories import Space
from hw.isa.payload import Gather, Mem, Scatter, TokenRun
from hw.lib.numbers import ceil_div, round_up
from hw.program.regions import Region
from hw.program.runs import on_chip


@dataclass(frozen=True, kw_only=True)
class TokenHome:
    """Tokens of ``size`` bytes in DRAM from ``offset`` of a region, each from a beat on."""

    offset: int
    size: int
    pitch: int
    region: Region

    @classmethod
    def of(cls, offset: int, words: int, steps: Products, region: Region) -> TokenHome:
        """The home of tokens of ``words`` words of RESIDUAL each."""
        size = words * steps.config.cols
        return cls(
            offset=offset, size=size, pitch=round_up(size, steps.config.axi_bytes), region=region
        )


@dataclass(frozen=True, kw_only=True)
class Lines:
    """``count`` runs of ``length`` tokens: evenly spaced on chip and in DRAM."""

    target: int = 0
    source: int
    length: int
    count: int = 1
    target_step: int = 0
    source_step: int = 0


def lines(runs: Iterable[Run]) -> Iterator[Lines]:
    """Runs of real tokens, those that follow evenly as one."""
    found: Lines | None = None
    for run in runs:
        if run.source is None:
            continue
        if found is not None and run.count == found.length:
            steps = (
                run.target - found.target - (found.count - 1) * found.target_step,
                run.source - found.source - (found.count - 1) * found.source_step,
            )
            fits = steps[1] > 0 and (
                found.count == 1 or steps == (found.target_step, found.source_step)
            )
            if fits:
                found = Lines(
                    target=found.target, source=found.source, length=found.length,
                    count=found.count + 1, target_step=steps[0], source_step=steps[1],
                )  # fmt: skip
                continue
        if found is not None:
            yield found
        found = Lines(target=run.target, source=run.source, length=run.count)
    if found is not None:
        yield found


def windows_runs(windows: Windows, first: int, count: int) -> list[Run]:
    """The runs of windows ``first`` to ``first + count``, targets from 0 on, none over a window."""
    size = windows.size
    order = windows.order()[first * size : (first + count) * size].tolist()
    found: list[Run] = []
    for target, source in enumerate(order):
        last = found[-1] if found else None
        real = source >= 0
        if last is not None and target % windows.window[1]:
            follows = last.source is not None and source == last.source + last.count
            if follows if real else last.source is None:
                found[-1] = Run(target=last.target, source=last.source, count=last.count + 1)
                continue
        found.append(Run(target=target, source=source if real else None, count=1))
    return found


class Mover:
    """Moves tokens between a home and RESIDUAL, and zeros to RESIDUAL and ACT."""

    def __init__(self, steps: Products) -> None:
        self.steps, self.config = steps, steps.config
        self._zeros: tuple[int, int] | None = None

    def zero_room(self, size: int) -> int:
        """Offset of at least ``size`` bytes of zeros among the parameters."""
        if self._zeros is None or self._zeros[1] < size:
            self._zeros = (self.steps.dram.add(bytes(size)), size)
        return self._zeros[0]

    def _fields(self, home: TokenHome, at: int, stride: int, run: Lines) -> list[dict[str, Any]]:
        """The runs of ``run``; on chip a token is ``stride`` words from the one before it."""
        beat = self.config.axi_bytes
        common = {"mem": Mem.RESIDUAL, "seg_bytes": home.size, "rows": 1}
        if home.size == home.pitch:
            return [
                common
                | {
                    "addr": at + run.target * stride,
                    "stride": stride,
                    "line_addr": run.target_step * stride,
                    "segs": run.length,
                    "runs": run.count,
                    "beats": run.length * home.size // beat,
                    "pitch": run.source_step * home.pitch,
                    "dram": home.offset + run.source * home.pitch,
                }
            ]
        return [
            common
            | {
                "addr": at + (run.target + n * run.target_step) * stride,
                "line_addr": stride,
                "segs": 1,
                "runs": run.length,
                "beats": home.pitch // beat,
                "pitch": home.pitch,
                "dram": home.offset + (run.source + n * run.source_step) * home.pitch,
            }
            for n in range(run.count)
        ]

    def bring(
        self, home: TokenHome, at: int, stride: int, runs: Iterable[Lines], after: Step | None
    ) -> list[Demand]:
        """GATHER tokens to RESIDUAL; token 0 of the runs' targets is at word ``at``."""
        made = []
        for run in runs:
            for fields in self._fields(home, at, stride, run):
                made.append(self.demand(Gather(**fields), home.region, after))
        return made

    def leave(
        self,
        home: TokenHome,
        at: int,
        stride: int,
        runs: Iterable[Lines],
        needs: Iterable[Demand] = (),
    ) -> Step | None:
        """SCATTER tokens of RESIDUAL home; the last step of it."""
        last = None
        for run in runs:
            for fields in self._fields(home, at, stride, run):
                last = self.steps.add(Scatter(**fields), region=home.region, needs=list(needs))
        return last

    def clear(self, at: int, stride: int, tokens: int, words: int) -> Demand:
        """Zeros to ``words`` words of each of ``tokens`` tokens of RESIDUAL."""
        return self._clear(Mem.RESIDUAL, at, words * self.config.cols, tokens, line_addr=stride)

    def clear_act(self, at: int, stride: int, bank: int, tokens: int, words: int) -> Demand:
        """Zeros to ``words`` words of tokens of ACT from bank ``bank`` of word ``at`` on."""
        return self._clear(
            Mem.ACT, at, words * self.config.act_bytes, tokens, stride=stride, bank=bank,
            line_bank=1,
        )  # fmt: skip

    def _clear(self, mem: Mem, at: int, size: int, tokens: int, **fields: Any) -> Demand:
        config = self.config
        room = round_up(size, config.axi_bytes)
        body = Gather(
            mem=mem, addr=at, seg_bytes=size, segs=1, rows=1, runs=tokens,
            beats=ceil_div(size, config.axi_bytes), dram=self.zero_room(room), **fields,
        )  # fmt: skip
        touched = on_chip(body, config)
        user = self.steps.last_user(Space(mem), touched.lo, touched.hi)
        return self.demand(body, Region.PARAMETERS, user)

    def demand(self, body: TokenRun, region: Region, after: Step | None) -> Demand:
        """A load of tokens, behind step ``after``."""
        made = Demand(step=self.steps.make(body, region=region), after=after)
        self.steps.loads.append(made)
        return made
