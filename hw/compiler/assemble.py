"""The chosen lowering as a program: instructions encoded, predictions collected."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from golden.graph import ir
from golden.support.errors import PotvitError
from hw.compiler.explain import Traffic, traffic
from hw.compiler.frontend.network import Network
from hw.compiler.image.stored import Stored
from hw.compiler.lower.products import Products
from hw.compiler.order.depend import Ordering
from hw.compiler.predict.cycles import Run
from hw.compiler.step import Step
from hw.config import Config
from hw.isa.instruction import Instr, Unit
from hw.isa.payload import End, Op
from hw.program.program import LayerCycles, Program
from hw.program.regions import PAGE, Region, Regions, window_bytes


@dataclass(frozen=True, kw_only=True)
class Variant:
    """What kind of program is wanted of a network: see `hw.compiler.build.compile_graph`."""

    checkpoints: bool = False
    serial: bool = False
    pictures: int = 1


@dataclass(kw_only=True)
class Candidate:
    """One lowering of the network: its steps, their program order and predicted run."""

    variant: Variant
    pitch: int
    emitter: Products
    outputs: Stored
    steps: list[Step]
    order: list[int]
    ordering: Ordering
    run: Run
    regions: Regions


class Source(Protocol):
    """What a network says of itself, however it is lowered."""

    @property
    def graph(self) -> ir.Graph:
        """The graph that it was read from."""

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of the image."""


def assemble(
    network: Source,
    config: Config,
    chosen: Candidate,
    macs: int,
    blocks: int,
    used: dict[str, tuple[int, int]],
    reasons: Callable[[Traffic], tuple[str, ...]],
) -> Program:
    """Encode the instructions and collect the predictions.

    ``macs`` are the products that the network asks for, ``blocks`` its token blocks, ``used`` the
    words of each memory; ``reasons`` says, of what the bus carries, why the program is as it is.
    """
    steps, run, regions = chosen.steps, chosen.run, chosen.regions
    code = []
    for number in chosen.order:
        step = steps[number]
        instr = Instr(
            body=step.body,
            waits=_counts(number, chosen),
            signals=frozenset(chosen.ordering.signals[number]),
            tag=min(step.layer + 1, 255),
        )
        try:
            code.append(instr.pack())
        except ValueError as error:
            raise PotvitError(
                f"{chosen.emitter.layers[step.layer]}: {step.op.name} does not encode, {error}"
            ) from None
    code.append(Instr(body=End()).pack())
    chosen.emitter.dram.align(PAGE)
    output_base = regions[Region.OUTPUTS].offset
    variant = chosen.variant
    results = [x.moved(x.offset + output_base) for x in chosen.outputs.results]
    moved = traffic(steps, regions, config)
    return Program(
        config=config.name,
        digest=config.digest,
        output=network.graph.output,
        model=str(network.graph.meta.get("model", "")),
        image=chosen.emitter.dram.image() + b"".join(code),
        entry=regions[Region.PROGRAM].offset,
        count=len(code),
        input_offset=regions[Region.PICTURE].offset,
        input_shape=network.image_shape,
        input_pitch=chosen.pitch,
        serial=variant.serial,
        logits=results[0],
        more=tuple(results[1:]),
        checkpoints=chosen.outputs.checkpoints(output_base) if chosen.outputs.enabled else (),
        window=window_bytes(regions),
        regions=regions,
        cycles=run.cycles,
        macs=variant.pictures * macs,
        peak_macs=config.macs,
        blocks=blocks,
        layers=_layers(chosen, config),
        busy={unit.name.lower(): run.busy[unit] for unit in Unit},
        waits={f"{u.name.lower()} for {c}": n for (u, c), n in sorted(run.waited.items())},
        timeline=tuple(
            (steps[n].unit.name.lower(), steps[n].layer, run.start[n], run.done[n])
            for n in chosen.order
        ),
        memory=used,
        dram_bytes=moved.total,
        dram_bytes_least=moved.least,
        reasons=reasons(moved),
        accesses=tuple((steps[n].reads, steps[n].writes) for n in chosen.order),
    )


def _counts(number: int, chosen: Candidate) -> dict[Unit, int]:
    waits: dict[Unit, int] = {}
    for other in chosen.ordering.waits[number]:
        unit = chosen.steps[other].unit
        waits[unit] = waits.get(unit, 0) + 1
    return waits


def _layers(chosen: Candidate, config: Config) -> tuple[LayerCycles, ...]:
    """Each array instruction is charged the time since its predecessor's end."""
    names = chosen.emitter.layers
    cycles, busy, macs = ([0] * len(names) for _ in range(3))
    last = 0
    for number in chosen.order:
        step = chosen.steps[number]
        if step.op is Op.MATMUL:
            end = chosen.run.done[number]
            cycles[step.layer] += end - last
            last = end
            made = step.footprint(config)
            busy[step.layer] += made.array_cycles
            macs[step.layer] += made.macs
    if names:
        cycles[-1] += chosen.run.cycles - last
    return tuple(
        LayerCycles(name=n, cycles=c, array_busy=b, macs=m)
        for n, c, b, m in zip(names, cycles, busy, macs, strict=True)
    )


def useful_macs(network: Network) -> int:
    """Products that the network itself asks of the array: no padding, no A x V."""
    tokens = network.tokens
    total = (tokens - 1) * network.patch.weight.size
    total += network.head.weight.size if network.head else 0
    for b in network.blocks:
        linears = (b.q, b.k, b.v, b.proj, b.fc1, b.fc2)
        total += tokens * sum(node.weight.size for node in linears)
        total += tokens * tokens * b.q.weight.shape[0]
    return int(total)
