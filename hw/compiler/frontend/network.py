"""Reads an integer graph as patch embedding, transformer blocks and head, or says why not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from golden.graph import ir
from golden.support.errors import PotvitError

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
    """Takes nodes by what they read, whatever their order in the graph."""

    def __init__(self, graph: ir.Graph) -> None:
        self.left = list(graph.nodes)

    def find(self, kind: type[N], *inputs: str) -> list[N]:
        """Take every node of ``kind`` that reads exactly ``inputs``."""
        found = [n for n in self.left if isinstance(n, kind) and n.inputs == inputs]
        self.left = [n for n in self.left if all(n is not f for f in found)]
        return found

    def take(self, kind: type[N], *inputs: str) -> N:
        """Take the only such node."""
        found = self.find(kind, *inputs)
        if len(found) != 1:
            raise PotvitError(
                f"only the executor runs this network: {len(found)} {kind.__name__} nodes read "
                f"{', '.join(inputs)} where the accelerator wants one"
            )
        return found[0]


def read_network(graph: ir.Graph) -> Network:
    """Match ``graph`` against the only shape that hardware runs; ``PotvitError`` otherwise."""
    _refuse_windows(graph)
    reader = _Reader(graph)
    patch = reader.take(ir.PatchEmbed, graph.input)
    embed = reader.take(ir.Residual, patch.output)
    if embed.constant is None:
        raise PotvitError(f"only the executor runs this network: {embed.name!r} has no constants")
    blocks = []
    stream = embed.output
    while norms := reader.find(ir.LayerNorm, stream):
        blocks.append(_read_block(reader, norms[0], stream))
        stream = blocks[-1].res2.output
    select = reader.take(ir.Select, stream)
    norm = reader.take(ir.LayerNorm, select.output)
    head = reader.take(ir.Head, norm.output)
    if reader.left:
        names = ", ".join(n.name for n in reader.left[:3])
        raise PotvitError(f"only the executor runs this network: no place for node {names}")
    return Network(
        graph=graph,
        patch=patch,
        embed=embed,
        blocks=tuple(blocks),
        select=select,
        norm=norm,
        head=head,
    )


def _refuse_windows(graph: ir.Graph) -> None:
    """Refuse a network of windows by the first node that puts its tokens in another order."""
    for node in graph.nodes:
        if isinstance(node, ir.Merge | ir.Pool) or getattr(node, "windows", None) is not None:
            raise PotvitError(
                f"only the executor runs this network: {node.name!r} works on windows, merged or "
                "pooled tokens, which the accelerator does not address"
            )


def _read_block(reader: _Reader, ln1: ir.LayerNorm, stream: str) -> Block:
    linears = {n.output: n for n in reader.find(ir.Linear, ln1.output)}
    pairs = [(q, k) for q in linears for k in linears]
    scores = [s for pair in pairs for s in reader.find(ir.Scores, *pair)]
    if len(linears) != 3 or len(scores) != 1 or len(set(scores[0].inputs)) != 2:
        raise PotvitError(
            f"only the executor runs this network: {ln1.name!r} does not feed one self-attention"
        )
    softmax = reader.take(ir.Softmax, scores[0].output)
    value = next(name for name in linears if name not in scores[0].inputs)
    attn = reader.take(ir.AttnValue, softmax.output, value)
    q, k, v = (linears[name] for name in (*scores[0].inputs, value))
    proj = reader.take(ir.Linear, attn.output)
    res1 = reader.take(ir.Residual, proj.output, stream)
    ln2 = reader.take(ir.LayerNorm, res1.output)
    fc1 = reader.take(ir.Linear, ln2.output)
    gelu = reader.take(ir.Gelu, fc1.output)
    fc2 = reader.take(ir.Linear, gelu.output)
    res2 = reader.take(ir.Residual, fc2.output, res1.output)
    return Block(
        name=ln1.output.rpartition(".")[0],
        ln1=ln1,
        q=q,
        k=k,
        v=v,
        scores=scores[0],
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
