"""Collects the steps of a program and the loads they need; the operators' lowering uses it."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from hw.compiler.image.layout import Dram, Tiles, load_beats
from hw.compiler.plan.allocate import Part, Plan, Region
from hw.compiler.step import Demand, Step
from hw.config import Config
from hw.formats.memories import Access, Space
from hw.isa.instruction import Mem, Op
from hw.lib.numbers import ceil_div, round_up


@dataclass(frozen=True, kw_only=True)
class Target:
    """Where a sweep writes.

    ``base`` is ``d_addr`` of tile 0 and group 0 of the tensor; each further tile moves it by
    ``per_tile``, each group by ``per_group``. ``word`` destination addresses make a word of
    ``space``.
    """

    dest: Mem
    base: int
    per_group: int
    per_tile: int
    space: Space
    word: int = 1


class Emitter:
    """Main steps in array order and load demands in load order (``merge`` interleaves them)."""

    def __init__(self, config: Config, plan: Plan, dram: Dram) -> None:
        self.config = config
        self.plan = plan
        self.dram = dram
        self.main: list[Step] = []
        self.loads: list[Demand] = []
        self.layers: list[str] = []
        self._norm_users: dict[int, Step] = {}

    def begin_layer(self, name: str) -> None:
        """Charge the following steps to layer ``name``."""
        if name not in self.layers:
            self.layers.append(name)
        self._layer = self.layers.index(name)

    def add(self, op: Op, fields: dict[str, int], **parts: object) -> Step:
        """Append a step of the current layer."""
        step = Step(op=op, layer=self._layer, fields=fields, **parts)  # type: ignore[arg-type]
        self.main.append(step)
        return step

    def demand(
        self, mem: Mem, words: int, word_bytes: int, offset: int, address: int = 0, **parts: object
    ) -> Demand:
        """Append a load of ``words`` words to ``address`` (or to the ring, for STREAM)."""
        ring = mem is Mem.STREAM
        fields = {
            "dest": int(mem),
            "addr": address,
            "words": words,
            "beats": load_beats(words, word_bytes, self.config),
            "dram": offset,
        }
        writes = [] if mem is Mem.CONST else [Access(Space(mem), address, address + words)]
        rows = words if mem is Mem.CONST else 0
        step = Step(op=Op.LOAD, layer=self._layer, fields=fields, writes=writes, rows=rows)
        demand = Demand(step=step, ring=ring, words=words, **parts)  # type: ignore[arg-type]
        self.loads.append(demand)
        return demand

    def demand_tiles(self, tiles: Tiles, first: int, count: int) -> Demand:
        """Load ``count`` weight tiles from ``first`` into the ring."""
        size = self.config.stream_bytes
        offset = tiles.offset + first * tiles.pitch * size
        return self.demand(Mem.STREAM, count * tiles.pitch, size, offset)

    def segments(self, tiles: Tiles) -> list[tuple[int, int]]:
        """Cut a layer's tiles into loads: long enough to be few, short enough to prefetch."""
        room = min(self.plan.ring // 8, 112)
        pieces = ceil_div(tiles.count, max(1, room // tiles.pitch))
        bounds = [i * tiles.count // pieces for i in range(pieces + 1)]
        return [(a, b - a) for a, b in itertools.pairwise(bounds)]

    def matmul(
        self,
        tiles: Tiles,
        demand: Demand,
        segment: tuple[int, int],
        source: Region,
        part: Part,
        target: Target,
        **flags: int,
    ) -> Step:
        """One MATMUL: tiles ``segment`` (first, count) of a layer over the groups of ``part``."""
        first, count = segment
        plan, config = self.plan, self.config
        last = first + count == tiles.count
        fields = {
            "a_addr": source.base + part.first * source.stride,
            "a_stride": source.stride,
            "w_stride": tiles.pitch,
            "chunks": tiles.chunks,
            "tiles": count,
            "groups": part.groups,
            "rows_last": plan.rows_last(part),
            "cols_last": tiles.cols_last if last else config.cols,
            "k_last": tiles.k_last,
            "w4": int(tiles.w4),
            "dest": int(target.dest),
            "d_addr": target.base + part.first * target.per_group + first * target.per_tile,
            "d_stride": target.per_group,
            "d_step": target.per_tile,
            **flags,
        }
        step = self.add(Op.MATMUL, fields, needs=[demand], tile=demand)
        demand.users += 1
        step.reads.append(source.access(part.first, part.groups))
        lo = (target.base + part.first * target.per_group) // target.word
        hi = ceil_div(target.base + part.end * target.per_group, target.word)
        match target.dest:
            case Mem.STREAM:
                self._key_target(step, target, part, first)
            case Mem.VALUE:
                begin, tokens = plan.token_range(part)
                step.fields |= {"d_addr": target.base + begin, "sub": first}
                step.writes.append(
                    Access(Space.VALUE, target.base + begin, target.base + begin + tokens)
                )
            case Mem.OUT:
                at = fields["d_addr"]
                step.writes.append(Access(Space.OUT, at, at + count))
            case Mem.RESIDUAL:
                self._residual_target(step, target, part, first)
            case _:
                step.writes.append(Access(target.space, lo, hi))
        if fields.get("gelu"):
            step.reads.append(Access(Space.GELU, 0, 256))
        return step

    def _key_target(self, step: Step, target: Target, part: Part, first: int) -> None:
        begin, tokens = self.plan.token_range(part)
        cols = self.config.cols
        row = target.base + begin // cols * target.per_group
        step.fields |= {"d_addr": row + first * target.per_tile, "sub": begin % cols}
        end = target.base + ceil_div(begin + tokens, cols) * target.per_group
        step.writes.append(Access(Space.STREAM, row, end))

    def _residual_target(self, step: Step, target: Target, part: Part, first: int) -> None:
        begin, tokens = self.plan.token_range(part)
        stride = self.plan.residual_stride
        lo = begin * stride
        words = Access(Space.RESIDUAL, lo, lo + tokens * stride)
        step.fields |= {
            "d_addr": lo + first,
            "d_stride": stride,
            "d_step": 1,
            "token": begin,
            "stats_init": int(first == 0),
        }
        step.writes += [words, Access(Space.STATISTICS, begin, begin + tokens)]

    def act_target(self, region: Region, offset_words: int = 0) -> Target:
        """Requantized results into the activation region, ``offset_words`` into each group."""
        granules = self.config.tile_act_granules
        return Target(
            dest=Mem.ACT,
            base=(region.base + offset_words) * granules,
            per_group=region.stride * granules,
            per_tile=1,
            space=Space.ACT,
            word=granules,
        )

    def residual_target(self) -> Target:
        """Residual adder, in place."""
        return Target(dest=Mem.RESIDUAL, base=0, per_group=0, per_tile=1, space=Space.RESIDUAL)

    def sweep(
        self, tiles: Tiles, source: Region, part: Part, target: Target, **flags: int
    ) -> list[Step]:
        """All tiles of a layer over one token block, weights loaded for it."""
        steps = []
        for segment in self.segments(tiles):
            demand = self.demand_tiles(tiles, *segment)
            steps.append(self.matmul(tiles, demand, segment, source, part, target, **flags))
        return steps

    def norm_params(self, offset: int, index: int) -> tuple[Demand, int]:
        """Load the parameters of LayerNorm number ``index`` into its set; returns its address."""
        address = self.plan.norms[index % len(self.plan.norms)]
        steps = self.norm_steps
        demand = self.demand(
            Mem.NORM,
            steps,
            self.config.norm_bytes,
            offset,
            address,
            after=self._norm_users.get(address),
        )
        return demand, address

    @property
    def norm_steps(self) -> int:
        """Parameter words of a LayerNorm: padded channels over K."""
        return self.plan.residual_stride * self.config.cols // self.config.lanes

    def norm(
        self, params: tuple[Demand, int], channels: int, shift: int, first: int, count: int
    ) -> Step:
        """LayerNorm of ``count`` tokens from ``first`` into the x region."""
        demand, address = params
        plan = self.plan
        group, groups = first // self.config.rows, ceil_div(count, self.config.rows)
        stride = plan.residual_stride
        fields = {
            "r_addr": first * stride,
            "token": first,
            "count": count,
            "channels": channels,
            "steps": self.norm_steps,
            "p_addr": address,
            "shift": shift,
            "d_addr": plan.x.base + group * plan.x.stride,
            "d_stride": plan.x.stride,
        }
        step = self.add(
            Op.NORM,
            fields,
            needs=[demand],
            reads=[
                Access(Space.RESIDUAL, first * stride, (first + count) * stride),
                Access(Space.STATISTICS, first, first + count),
                Access(Space.NORM, address, address + self.norm_steps),
            ],
            writes=[plan.x.access(group, groups)],
        )
        self._norm_users[address] = step
        return step

    def store(self, space: Space, addr: int, words: int, word_bytes: int, offset: int) -> int:
        """Store ``words`` words to window offset ``offset``; returns the bytes they take."""
        fields = {"src": int(space), "addr": addr, "words": words, "dram": offset}
        self.add(Op.STORE, fields, reads=[Access(space, addr, addr + words)])
        return words * round_up(word_bytes, self.config.axi_bytes)
