"""Reads an integer graph as patch embedding, transformer blocks and head, or says why not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

from golden import ir
from golden.errors import PotvitError

N = TypeVar("N", bound=ir.Node)


@dataclass(frozen=True, kw_only=True)
class Block:
    """The nodes of one transformer block."""

    name: str
    ln1: ir.LayerNorm
    q: ir.Linear
    k: ir.Linear
    v: ir.Linear
    scores: ir.Scores
    softmax: ir.Softmax
    attn: ir.AttnValue
    proj: ir.Linear
    res1: ir.Residual
    ln2: ir.LayerNorm
    fc1: ir.Linear
    gelu: ir.Gelu
    fc2: ir.Linear
    res2: ir.Residual


@dataclass(frozen=True, kw_only=True)
class Network:
    """A vision transformer as the compiler lowers it; sizes are unpadded."""

    graph: ir.Graph
    patch: ir.PatchEmbed
    embed: ir.Residual
    blocks: tuple[Block, ...]
    select: ir.Select
    norm: ir.LayerNorm
    head: ir.Head

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of the image."""
        height, width, channels = self.graph.tensors[self.graph.input].shape
        return height, width, channels

    @property
    def tokens(self) -> int:
        """Tokens of the residual stream, class token included."""
        return self.graph.tensors[self.embed.output].shape[0]

    @property
    def channels(self) -> int:
        """Channels of the residual stream."""
        return self.graph.tensors[self.embed.output].shape[1]

    @property
    def classes(self) -> int:
        """Length of the logits."""
        return self.head.weight.shape[0]


class _Reader:
    """Takes nodes one by one and checks their type and where their inputs come from."""

    def __init__(self, graph: ir.Graph) -> None:
        self.nodes: Iterator[ir.Node] = iter(graph.nodes)
        self.head = next(self.nodes, None)

    def take(self, kind: type[N], *inputs: str) -> N:
        node = self.head
        if not isinstance(node, kind) or (inputs and node.inputs != inputs):
            found = "the graph ends" if node is None else f"node {node.name!r} breaks the pattern"
            raise PotvitError(
                f"only the executor runs this network: {found} where the accelerator wants "
                f"a {kind.__name__}" + (f" of {', '.join(inputs)}" if inputs else "")
            )
        self.head = next(self.nodes, None)
        return node


def read_network(graph: ir.Graph) -> Network:
    """Match ``graph`` against the only shape that hardware runs; ``PotvitError`` otherwise."""
    reader = _Reader(graph)
    patch = reader.take(ir.PatchEmbed, graph.input)
    embed = reader.take(ir.Residual, patch.output)
    blocks = []
    stream = embed.output
    while isinstance(reader.head, ir.LayerNorm):
        blocks.append(_read_block(reader, stream))
        stream = blocks[-1].res2.output
    select = reader.take(ir.Select, stream)
    norm = reader.take(ir.LayerNorm, select.output)
    head = reader.take(ir.Head, norm.output)
    if reader.head is not None:
        raise PotvitError(
            f"only the executor runs this network: {reader.head.name!r} follows the head"
        )
    return Network(
        graph=graph,
        patch=patch,
        embed=embed,
        blocks=tuple(blocks),
        select=select,
        norm=norm,
        head=head,
    )


def _read_block(reader: _Reader, stream: str) -> Block:
    ln1 = reader.take(ir.LayerNorm, stream)
    linears = {}
    for _ in range(3):
        node = reader.take(ir.Linear, ln1.output)
        linears[node.output] = node
    scores = reader.take(ir.Scores)
    softmax = reader.take(ir.Softmax, scores.output)
    attn = reader.take(ir.AttnValue)
    names = (*scores.inputs, attn.inputs[1])
    if set(names) != set(linears) or attn.inputs[0] != softmax.output:
        raise PotvitError(
            f"only the executor runs this network: {scores.name!r} is no self-attention"
        )
    q, k, v = (linears[name] for name in names)
    proj = reader.take(ir.Linear, attn.output)
    res1 = reader.take(ir.Residual, proj.output, stream)
    ln2 = reader.take(ir.LayerNorm, res1.output)
    fc1 = reader.take(ir.Linear, ln2.output)
    gelu = reader.take(ir.Gelu, fc1.output)
    fc2 = reader.take(ir.Linear, gelu.output)
    res2 = reader.take(ir.Residual, fc2.output, res1.output)
    name = ln1.output.rpartition(".")[0]
    return Block(
        name=name,
        ln1=ln1,
        q=q,
        k=k,
        v=v,
        scores=scores,
        softmax=softmax,
        attn=attn,
        proj=proj,
        res1=res1,
        ln2=ln2,
        fc1=fc1,
        gelu=gelu,
        fc2=fc2,
        res2=res2,
    )
