"""Integer graph and configuration to program: the driver of all passes."""

from __future__ import annotations

from dataclasses import dataclass

from golden.graph import ir
from golden.support.errors import PotvitError
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
from hw.compiler.plan.allocate import Plan, make_plan
from hw.compiler.predict.cycles import Simulation
from hw.compiler.predict.timing import Timing, tile_cycles
from hw.compiler.step import Step
from hw.config import Config
from hw.isa.instruction import INSTR_BYTES, Instr, Op, Unit
from hw.lib.numbers import ceil_div
from hw.program.program import LayerCycles, Layout, Program

#: Numbers of token blocks that the cost model compares.
BLOCK_COUNTS = (1, 2, 3, 4, 6)
WINDOW_UNIT = 4096


@dataclass(kw_only=True)
class _Candidate:
    """One lowering of the network: a block count, its program order and its predicted run."""

    plan: Plan
    emitter: Emitter
    outputs: Outputs
    steps: list[Step]
    order: list[int]
    ordering: Ordering
    run: Simulation


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
    wanted = [blocks] if blocks else [n for n in BLOCK_COUNTS if n <= groups]
    best: _Candidate | None = None
    refusal: PotvitError | None = None
    for count in wanted:
        if not 1 <= count <= groups:
            raise PotvitError(f"{count} token blocks, but there are 1..{groups} row groups")
        try:
            candidate = _lower(network, config, count, checkpoints, timing)
        except PotvitError as error:
            refusal = error
            continue
        if best is not None and candidate.run.cycles >= best.run.cycles:
            break  # more blocks only cost more weight traffic from here on
        best = candidate
    if best is None:
        assert refusal is not None
        raise refusal
    return _assemble(network, config, best)


def _lower(
    network: Network, config: Config, blocks: int, checkpoints: bool, timing: Timing
) -> _Candidate:
    plan = make_plan(network, config, blocks)
    emitter = Emitter(config, plan, Dram(config))
    outputs = Outputs(emitter, network.graph, checkpoints)
    _emit(network, emitter, outputs)
    steps = merge(emitter.main, emitter.loads, config, plan.ring)
    order, ordering, run = program_order(steps, config, timing)
    return _Candidate(
        plan=plan,
        emitter=emitter,
        outputs=outputs,
        steps=steps,
        order=order,
        ordering=ordering,
        run=run,
    )


def _emit(network: Network, emitter: Emitter, outputs: Outputs) -> None:
    """Steps of the whole network in array order."""
    common = {"emitter": emitter, "outputs": outputs, "channels": network.channels}
    ln1 = [NormLowering(node=b.ln1, index=2 * i, **common) for i, b in enumerate(network.blocks)]  # type: ignore[arg-type]
    ln1.append(
        FinalNormLowering(
            node=network.norm,
            index=2 * len(ln1),
            token=network.select.index,
            **common,  # type: ignore[arg-type]
        )
    )
    emitter.begin_layer("patch_embed")
    embed = EmbedLowering(network, emitter, outputs)
    for number, part in enumerate(emitter.plan.parts):
        embed.lower(part)
        if number == 0:
            ln1[0].load()
        ln1[0].run(part)
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


def _assemble(network: Network, config: Config, chosen: _Candidate) -> Program:
    """Lay out DRAM, encode the instructions and collect the predictions."""
    dram, steps, run = chosen.emitter.dram, chosen.steps, chosen.run
    dram.align(WINDOW_UNIT)
    entry = dram.size
    count = len(steps) + 1
    size = count * INSTR_BYTES
    dram.size += size
    height, width, channels = network.image_shape
    input_offset = dram.reserve(height * width * channels)
    output_base = dram.reserve(chosen.outputs.size)
    if dram.size >= 1 << 32:
        raise PotvitError(f"the program needs a window of {dram.size} bytes, more than 4 GB")
    code = []
    for number in chosen.order:
        step = steps[number]
        if step.op is Op.PATCH:
            step.fields["dram"] += input_offset
        elif step.op is Op.STORE:
            step.fields["dram"] += output_base
        instr = Instr(
            op=step.op,
            fields=step.fields,
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
    code.append(Instr(op=Op.END, fields={}).pack())
    logits = chosen.outputs.layouts[network.head.output]
    return Program(
        config=config.name,
        model=str(network.graph.meta.get("model", "")),
        image=dram.image() + b"".join(code),
        entry=entry,
        count=count,
        input_offset=input_offset,
        input_shape=network.image_shape,
        logits=Layout(**(logits.__dict__ | {"offset": logits.offset + output_base})),
        checkpoints=chosen.outputs.checkpoints(output_base) if chosen.outputs.enabled else (),
        window=-(-dram.size // WINDOW_UNIT) * WINDOW_UNIT,
        cycles=run.cycles,
        macs=useful_macs(network),
        peak_macs=config.macs,
        blocks=len(chosen.plan.parts),
        layers=_layers(chosen, config),
        busy={unit.name.lower(): run.busy[unit] for unit in Unit},
        waits={f"{u.name.lower()} for {c}": n for (u, c), n in sorted(run.waited.items())},
        timeline=tuple(
            (steps[n].unit.name.lower(), steps[n].layer, int(run.start[n]), int(run.done[n]))
            for n in chosen.order
        ),
        memory=chosen.plan.used,
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
            end = int(chosen.run.done[number])
            cycles[step.layer] += end - last
            last = end
            fields = step.fields
            busy[step.layer] += fields["tiles"] * fields["groups"] * tile_cycles(step, config)
            macs[step.layer] += step_macs(step, config)
    if names:
        cycles[-1] += chosen.run.cycles - last
    return tuple(
        LayerCycles(name=n, cycles=c, array_busy=b, macs=m)
        for n, c, b, m in zip(names, cycles, busy, macs, strict=True)
    )


def step_macs(step: Step, config: Config) -> int:
    """Useful products of one MATMUL, as the hardware's counter counts them."""
    f = step.fields
    rows = (f["groups"] - 1) * config.rows + f["rows_last"] - f.get("zero_first", 0)
    cols = (f["tiles"] - 1) * config.cols + f["cols_last"]
    wide = config.lanes * (2 if f.get("w4") else 1)
    return rows * cols * ((f["chunks"] - 1) * wide + f["k_last"])


def useful_macs(network: Network) -> int:
    """Products that the network itself asks of the array: no padding, no A x V."""
    tokens = network.tokens
    total = (tokens - 1) * network.patch.weight.size + network.head.weight.size
    for b in network.blocks:
        linears = (b.q, b.k, b.v, b.proj, b.fc1, b.fc2)
        total += tokens * sum(node.weight.size for node in linears)
        total += tokens * tokens * b.q.weight.shape[0]
    return int(total)
