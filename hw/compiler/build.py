"""Integer graph and configuration to program: the driver of all passes."""

from __future__ import annotations

import math

from golden.graph import ir
from golden.support.errors import PotvitError
from hw.compiler.assemble import Candidate, Variant, assemble, useful_macs
from hw.compiler.explain import explain
from hw.compiler.finish import finish
from hw.compiler.frontend.network import Network, read_network
from hw.compiler.frontend.refuse import check_network
from hw.compiler.image.checkpoints import Outputs
from hw.compiler.image.layout import Dram
from hw.compiler.lower.attention import AttentionLowering
from hw.compiler.lower.block_embed import BlockEmbedLowering
from hw.compiler.lower.embed import EmbedLowering
from hw.compiler.lower.emitter import Emitter
from hw.compiler.lower.head import lower_head
from hw.compiler.lower.mlp import MlpLowering
from hw.compiler.lower.norm import FinalNormLowering, NormLowering
from hw.compiler.lower.norm_outputs import NormOutputs
from hw.compiler.lower.streamed import StreamedTail
from hw.compiler.plan.allocate import Plan, block_counts, make_plan
from hw.compiler.plan.sizes import NoRoomError
from hw.compiler.predict.timing import Timing
from hw.compiler.windowed.build import compile_windowed
from hw.compiler.windowed.network import is_windowed
from hw.config import Config
from hw.lib.numbers import ceil_div, round_up
from hw.program.program import Program


def compile_graph(
    graph: ir.Graph,
    config: Config,
    *,
    checkpoints: bool = False,
    blocks: int | None = None,
    timing: Timing | None = None,
    serial: bool = False,
    pictures: int = 1,
) -> Program:
    """Compile ``graph`` for ``config``; with ``checkpoints`` every stored tensor goes to DRAM.

    A ``serial`` program runs one instruction at a time. One for several ``pictures`` works on them
    one after the other without the host, the next one's beginning under the end of the one before;
    it stores results only. The cost model chooses the number of token blocks unless ``blocks``
    fixes it. Raises ``PotvitError`` for a network that this configuration cannot run, naming the
    reason or the buffer and what it lacks.
    """
    variant = Variant(checkpoints=checkpoints, serial=serial, pictures=pictures)
    if pictures < 1 or (pictures > 1 and checkpoints):
        raise PotvitError(f"a program for {pictures} pictures with checkpoints = {checkpoints}")
    timing = timing or Timing()
    if is_windowed(graph):
        return compile_windowed(graph, config, variant, blocks, timing)
    network = read_network(graph)
    check_network(network, config)
    groups = ceil_div(network.tokens, config.rows)
    wanted: list[int | None] = [blocks] if blocks else [*block_counts(network, config), None]
    best: tuple[Candidate, Plan] | None = None
    refusal: PotvitError | None = None
    compared: list[tuple[int | None, str]] = []
    for count in wanted:
        if count is None and best is not None:
            break  # streaming is for what fits in no other way
        if count is not None and not 1 <= count <= groups:
            raise PotvitError(f"{count} token blocks, but there are 1..{groups} row groups")
        try:
            candidate = _lower(network, config, count, variant, timing)
        except PotvitError as error:
            refusal = _nearest(refusal, error)
            compared.append((count, str(error).partition(" (")[0]))
            continue
        compared.append((count, f"{candidate[0].run.cycles:,} cycles"))
        if best is not None and candidate[0].run.cycles >= best[0].run.cycles:
            break  # more blocks only cost more weight traffic from here on
        best = candidate
    if best is None:
        assert refusal is not None
        raise refusal
    chosen, plan = best
    return assemble(
        network, config, chosen, useful_macs(network), len(plan.parts), plan.used,
        lambda moved: explain(compared, plan, moved, chosen.run.cycles, config),
    )  # fmt: skip


def _nearest(known: PotvitError | None, new: PotvitError) -> PotvitError:
    """The refusal to report: of two buffers that are too small, the one that lacks less."""
    if isinstance(known, NoRoomError) and isinstance(new, NoRoomError) and known.lacks <= new.lacks:
        return known
    return new


def _lower(
    network: Network, config: Config, blocks: int | None, variant: Variant, timing: Timing
) -> tuple[Candidate, Plan]:
    plan = make_plan(network, config, blocks)
    emitter = Emitter(config, plan, Dram(config, shared=variant.pictures > 1), network.graph)
    outputs = Outputs(emitter, network.graph, variant.checkpoints)
    pitch = round_up(math.prod(network.image_shape), emitter.dram.burst)
    for number in range(variant.pictures):
        outputs.begin_picture()
        _emit(network, emitter, outputs, number * pitch)
    made = finish(emitter, outputs, network.image_shape, pitch, variant, timing)
    return made, plan


def _emit(network: Network, emitter: Emitter, outputs: Outputs, picture: int) -> None:
    """Steps of the whole network in array order, for the picture at ``picture`` of its region."""
    common = {"emitter": emitter, "outputs": outputs, "channels": network.channels}
    ln1 = [NormLowering(node=b.ln1, index=2 * i, **common) for i, b in enumerate(network.blocks)]  # type: ignore[arg-type]
    final = {"node": network.norm, "index": 2 * len(ln1), "last": True, **common}
    if network.select is None:
        ln1.append(NormLowering(**final))  # type: ignore[arg-type]
    else:
        ln1.append(FinalNormLowering(token=network.select.index, **final))  # type: ignore[arg-type]
    emitter.begin_layer("patch_embed")
    streamed = emitter.plan.streamed is not None
    x = NormOutputs(emitter)
    lowering = BlockEmbedLowering if streamed else EmbedLowering
    embed = lowering(network, emitter, outputs, picture)
    emitter.beyond = emitter.beyond or streamed
    for number, part in enumerate(emitter.plan.embeds):
        emitter.stream.enter(part, emitter.plan.embeds, fresh=True)
        embed.lower(part)
        if number == 0:
            ln1[0].load()
        region = x.target(part)
        ln1[0].run(part, region)
        if not ln1[0].last:
            x.leave(part, region)
        emitter.stream.leave(part, kept=not ln1[0].last)
    for index, block in enumerate(network.blocks):
        attention = AttentionLowering(block, index, emitter, outputs, x)
        mlp = MlpLowering(block, emitter, outputs)
        ln2 = NormLowering(node=block.ln2, index=2 * index + 1, **common)  # type: ignore[arg-type]
        if streamed:
            attention.lower()
            mlp.load_table()
            StreamedTail(attention, mlp, ln2, ln1[index + 1], x).lower()
            continue
        ln2.load()
        attention.lower()
        mlp.load_table()
        attention.project(ln2)
        mlp.lower(ln1[index + 1])
    last = ln1[-1]
    source = last.at if isinstance(last, FinalNormLowering) else None
    source = source or emitter.plan.x
    lower_head(network.head, emitter, outputs, (source.base, source.stride))
