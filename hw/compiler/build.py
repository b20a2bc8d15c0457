"""Integer graph and configuration to program: the driver of all passes."""

from __future__ import annotations

import math
from dataclasses import dataclass

from golden.graph import ir
from golden.support.errors import PotvitError
from hw.compiler.explain import explain, traffic
from hw.compiler.frontend.network import Network, read_network
from hw.compiler.frontend.refuse import check_network
from hw.compiler.image.checkpoints import Outputs
from hw.compiler.image.layout import Dram
from hw.compiler.lower.attention import AttentionLowering
from hw.compiler.lower.embed import EmbedLowering
from hw.compiler.lower.emitter import Emitter
from hw.compiler.lower.head import lower_head
from hw.compiler.lower.mlp import MlpLowering
from hw.compiler.lower.norm import FinalNormLowering, NormLowering
from hw.compiler.order.depend import Ordering
from hw.compiler.order.merge import merge
from hw.compiler.order.schedule import program_order
from hw.compiler.plan.allocate import Plan, block_counts, make_plan
from hw.compiler.predict.cycles import Run
from hw.compiler.predict.timing import Timing
from hw.compiler.step import Step
from hw.config import Config
from hw.isa.instruction import INSTR_BYTES, Instr, Unit
from hw.isa.payload import End, Load, Op
from hw.lib.numbers import ceil_div
from hw.program.program import LayerCycles, Program
from hw.program.regions import PAGE, Extent, Region, Regions, lay_out, window_bytes


@dataclass(kw_only=True)
class _Candidate:
    """One lowering of the network: a block count, its program order and its predicted run."""

    plan: Plan
    emitter: Emitter
    outputs: Outputs
    steps: list[Step]
    order: list[int]
    ordering: Ordering
    run: Run
    regions: Regions


def compile_graph(
    graph: ir.Graph,
    config: Config,
    *,
    checkpoints: bool = False,
    blocks: int | None = None,
    timing: Timing | None = None,
) -> Program:
    """Compile ``graph`` for ``config``; with ``checkpoints`` every stored tensor goes to DRAM.

    The cost model chooses the number of token blocks unless ``blocks`` fixes it. Raises
    ``PotvitError`` for a network that this configuration cannot run, naming the reason or the
    buffer and what it lacks.
    """
    network = read_network(graph)
    check_network(network, config)
    timing = timing or Timing()
    groups = ceil_div(network.tokens, config.rows)
    wanted = [blocks] if blocks else block_counts(network, config)
    best: _Candidate | None = None
    refusal: PotvitError | None = None
    compared: list[tuple[int, str]] = []
    for count in wanted:
        if not 1 <= count <= groups:
            raise PotvitError(f"{count} token blocks, but there are 1..{groups} row groups")
        try:
            candidate = _lower(network, config, count, checkpoints, timing)
        except PotvitError as error:
            refusal = error
            compared.append((count, str(error).partition(" (")[0]))
            continue
        compared.append((count, f"{candidate.run.cycles:,} cycles"))
        if best is not None and candidate.run.cycles >= best.run.cycles:
            break  # more blocks only cost more weight traffic from here on
        best = candidate
    if best is None:
        assert refusal is not None
        raise refusal
    return _assemble(network, config, best, compared)


def _lower(
    network: Network, config: Config, blocks: int, checkpoints: bool, timing: Timing
) -> _Candidate:
    plan = make_plan(network, config, blocks)
    emitter = Emitter(config, plan, Dram(config))
    outputs = Outputs(emitter, network.graph, checkpoints)
    _emit(network, emitter, outputs)
    steps = merge(emitter.main, emitter.loads, config, plan.ring)
    regions = lay_out(
        {
            Region.PARAMETERS: emitter.dram.size,
            Region.PROGRAM: (len(steps) + 1) * INSTR_BYTES,
            Region.PICTURE: math.prod(network.image_shape),
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
    order, ordering, run = program_order(steps, config, timing, writable)
    return _Candidate(
        plan=plan,
        emitter=emitter,
        outputs=outputs,
        steps=steps,
        order=order,
        ordering=ordering,
        run=run,
        regions=regions,
    )


def _emit(network: Network, emitter: Emitter, outputs: Outputs) -> None:
    """Steps of the whole network in array order."""
    common = {"emitter": emitter, "outputs": outputs, "channels": network.channels}
    ln1 = [NormLowering(node=b.ln1, index=2 * i, **common) for i, b in enumerate(network.blocks)]  # type: ignore[arg-type]
    final = {"node": network.norm, "index": 2 * len(ln1), "last": True, **common}
    if network.select is None:
        ln1.append(NormLowering(**final))  # type: ignore[arg-type]
    else:
        ln1.append(FinalNormLowering(token=network.select.index, **final))  # type: ignore[arg-type]
    emitter.begin_layer("patch_embed")
    embed = EmbedLowering(network, emitter, outputs)
    for number, part in enumerate(emitter.plan.embeds):
        emitter.stream.enter(part, emitter.plan.embeds, fresh=True)
        embed.lower(part)
        if number == 0:
            ln1[0].load()
        ln1[0].run(part)
        emitter.stream.leave(part, kept=not ln1[0].last)
    for index, block in enumerate(network.blocks):
        attention = AttentionLowering(block, index, emitter, outputs)
        mlp = MlpLowering(block, emitter, outputs)
        ln2 = NormLowering(node=block.ln2, index=2 * index + 1, **common)  # type: ignore[arg-type]
        ln2.load()
        attention.lower()
        mlp.load_table()
        attention.project(ln2)
        mlp.lower(ln1[index + 1])
    lower_head(network, emitter, outputs)


def _assemble(
    network: Network, config: Config, chosen: _Candidate, compared: list[tuple[int, str]]
) -> Program:
    """Encode the instructions and collect the predictions."""
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
    logits = chosen.outputs.layouts[network.graph.output]
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
        logits=logits.moved(logits.offset + output_base),
        checkpoints=chosen.outputs.checkpoints(output_base) if chosen.outputs.enabled else (),
        window=window_bytes(regions),
        regions=regions,
        cycles=run.cycles,
        macs=useful_macs(network),
        peak_macs=config.macs,
        blocks=len(chosen.plan.parts),
        layers=_layers(chosen, config),
        busy={unit.name.lower(): run.busy[unit] for unit in Unit},
        waits={f"{u.name.lower()} for {c}": n for (u, c), n in sorted(run.waited.items())},
        timeline=tuple(
            (steps[n].unit.name.lower(), steps[n].layer, run.start[n], run.done[n])
            for n in chosen.order
        ),
        memory=chosen.plan.used,
        dram_bytes=moved.total,
        dram_bytes_least=moved.least,
        reasons=explain(compared, chosen.plan, moved, run.cycles, config),
        accesses=tuple((steps[n].reads, steps[n].writes) for n in chosen.order),
    )


def _counts(number: int, chosen: _Candidate) -> dict[Unit, int]:
    waits: dict[Unit, int] = {}
    for other in chosen.ordering.waits[number]:
        unit = chosen.steps[other].unit
        waits[unit] = waits.get(unit, 0) + 1
    return waits


def _layers(chosen: _Candidate, config: Config) -> tuple[LayerCycles, ...]:
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
