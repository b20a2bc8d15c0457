"""The kernels of a graph as a network of windowed stages: embedding, merging, blocks, pooling."""

from __future__ import annotations

from dataclasses import dataclass

from golden.graph import ir
from golden.ops.windows import PatchMerge, Windows
from golden.support.errors import PotvitError
from hw.compiler.frontend.fuse import fuse
from hw.compiler.frontend.kernels import Begin, Classify, Embed, Gathered, Normalise, Pooled
from hw.compiler.frontend.network import Block, Chain, read_block


@dataclass(frozen=True, kw_only=True)
class Merging:
    """The nodes of patch merging: four tokens side by side, LayerNorm, linear layer."""

    name: str
    merge: PatchMerge
    ln0: ir.LayerNorm
    linear: ir.Linear
    add: ir.Residual


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Blocks over the same tokens, behind the merging that makes them (none in the first stage)."""

    merging: Merging | None
    blocks: tuple[Block, ...]
    tokens: int
    channels: int


@dataclass(frozen=True, kw_only=True)
class WindowedNetwork:
    """A hierarchical vision transformer as the compiler lowers it; sizes are unpadded.

    The LayerNorm ``embed_norm`` behind the patch embedding writes the residual stream. The network
    ends in LayerNorm, ``pool`` and ``head``.
    """

    graph: ir.Graph
    patch: ir.PatchEmbed
    embed: ir.Residual
    embed_norm: ir.LayerNorm
    stages: tuple[Stage, ...]
    norm: ir.LayerNorm
    pool: ir.Pool
    head: ir.Head

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of the image."""
        height, width, channels = self.graph.tensors[self.graph.input].shape
        return height, width, channels

    @property
    def linears(self) -> list[ir.Linear]:
        """Every linear layer but patch embedding and classifier."""
        found = [s.merging.linear for s in self.stages if s.merging]
        for block in self.blocks:
            found += [block.q, block.k, block.v, block.proj, block.fc1, block.fc2]
        return found

    @property
    def norms(self) -> list[ir.LayerNorm]:
        """Every LayerNorm."""
        inner = [norm for block in self.blocks for norm in (block.ln1, block.ln2)]
        merged = [s.merging.ln0 for s in self.stages if s.merging]
        return [self.embed_norm, *merged, *inner, self.norm]

    @property
    def blocks(self) -> list[Block]:
        """The blocks of all stages."""
        return [block for stage in self.stages for block in stage.blocks]

    def useful_macs(self) -> int:
        """Products that the network itself asks of the array: no padding, no A x V."""
        total = self.stages[0].tokens * self.patch.weight.size + self.head.weight.size
        for stage in self.stages:
            if stage.merging:
                total += stage.tokens * stage.merging.linear.weight.size
            for block in stage.blocks:
                windows = windows_of(block)
                inside = sum(node.weight.size for node in (block.q, block.k, block.v, block.proj))
                total += windows.ordered * (inside + windows.size * stage.channels)
                total += stage.tokens * (block.fc1.weight.size + block.fc2.weight.size)
        return int(total)


def windows_of(block: Block) -> Windows:
    """The windows of a block that has some."""
    assert block.scores.windows is not None
    return block.scores.windows


def is_windowed(graph: ir.Graph) -> bool:
    """Whether some attention of ``graph`` stays inside windows."""
    return any(isinstance(n, ir.Scores) and n.windows is not None for n in graph.nodes)


def read_windowed(graph: ir.Graph) -> WindowedNetwork:
    """The kernels of ``graph`` in the order that the compiler lowers; ``PotvitError`` otherwise."""
    chain = Chain(fuse(graph))
    embed = chain.take(Embed, graph.input)
    if embed.add.constant is not None:
        raise PotvitError(
            f"only the executor runs this network: {embed.add.name!r} adds position constants in "
            "front of windows"
        )
    embed_norm = chain.take(Normalise, embed.output)
    stream, merging = embed_norm.output, None
    stages: list[Stage] = []
    blocks: list[Block] = []

    def close() -> None:
        tokens, channels = graph.tensors[stream].shape
        made = Stage(merging=merging, blocks=tuple(blocks), tokens=tokens, channels=channels)
        stages.append(made)

    while True:
        merged = chain.find(Gathered, stream)
        if merged is not None:
            close()
            blocks = []
            ln0 = chain.take(Normalise, merged.output)
            begin = chain.take(Begin, ln0.output)
            merging = Merging(
                name=merged.node.name.rpartition(".")[0], merge=merged.node.merge, ln0=ln0.node,
                linear=begin.linear, add=begin.add,
            )  # fmt: skip
            stream = begin.output
        norm = chain.take(Normalise, stream)
        pool = chain.find(Pooled, norm.output)
        if pool is not None:
            break
        blocks.append(_checked(read_block(chain, norm, stream)))
        stream = blocks[-1].res2.output
    close()
    head = chain.take(Classify, pool.output)
    chain.end()
    return WindowedNetwork(
        graph=graph, patch=embed.patch, embed=embed.add, embed_norm=embed_norm.node,
        stages=tuple(stages), norm=norm.node, pool=pool.node, head=head.node,
    )  # fmt: skip


def _checked(block: Block) -> Block:
    """The block, if attention, its LayerNorm and its residual addition agree on the windows."""
    windows = block.scores.windows
    if windows is None or not windows == block.ln1.windows == block.res1.windows:
        raise PotvitError(
            f"only the executor runs this network: {block.scores.name!r} and the nodes around it "
            "have not the same windows"
        )
    return block
