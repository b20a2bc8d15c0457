"""The kernels of a graph as a network: patch embedding, a stage of blocks, and its end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from golden.graph import ir
from golden.support.errors import PotvitError
from hw.compiler.frontend.fuse import fuse
from hw.compiler.frontend.kernels import (
    Add,
    Attend,
    Classify,
    Embed,
    Hidden,
    Keep,
    Kernel,
    Normalise,
)

K = TypeVar("K", bound=Kernel)


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
    """A vision transformer as the compiler lowers it; sizes are unpadded.

    It ends in the LayerNorm ``norm`` of all tokens, or of the one that ``select`` keeps; then
    comes ``head``, or the normalised tokens are the result.
    """

    graph: ir.Graph
    patch: ir.PatchEmbed
    embed: ir.Residual
    blocks: tuple[Block, ...]
    select: ir.Select | None
    norm: ir.LayerNorm
    head: ir.Head | None

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
    def first_norm(self) -> ir.LayerNorm:
        """The LayerNorm that reads the embedded tokens."""
        return self.blocks[0].ln1 if self.blocks else self.norm

    @property
    def classes(self) -> int:
        """Length of the logits, 0 without a classifier."""
        return self.head.weight.shape[0] if self.head else 0


class Chain:
    """Takes kernels by what they read, whatever their order."""

    def __init__(self, kernels: list[Kernel]) -> None:
        self.left = list(kernels)

    def find(self, kind: type[K], *inputs: str) -> K | None:
        """Take the kernel of ``kind`` that reads exactly ``inputs``, if there is one."""
        found = [k for k in self.left if isinstance(k, kind) and k.inputs == inputs]
        if len(found) > 1:
            names = ", ".join(repr(k.output) for k in found)
            raise PotvitError(
                f"only the executor runs this network: {names} read {', '.join(inputs)}, where the "
                f"accelerator wants one {kind.what}"
            )
        self.left = [k for k in self.left if k not in found]
        return found[0] if found else None

    def take(self, kind: type[K], *inputs: str) -> K:
        """Take the only such kernel."""
        found = self.find(kind, *inputs)
        if found is None:
            raise PotvitError(
                f"only the executor runs this network: no {kind.what} reads {', '.join(inputs)}"
            )
        return found

    def end(self) -> None:
        """Raise ``PotvitError`` if a kernel is left that nobody took."""
        if self.left:
            names = ", ".join(repr(k.nodes[-1].name) for k in self.left[:3])
            raise PotvitError(f"only the executor runs this network: no place for node {names}")


def read_network(graph: ir.Graph) -> Network:
    """The kernels of ``graph`` in the order that the compiler lowers; ``PotvitError`` otherwise."""
    chain = Chain(fuse(graph))
    embed = chain.take(Embed, graph.input)
    if embed.add.constant is None:
        raise PotvitError(
            f"only the executor runs this network: {embed.add.name!r} adds no position constants"
        )
    blocks = []
    stream = embed.output
    select = head = norm = None
    while norm is None:
        select = chain.find(Keep, stream)
        ln1 = chain.take(Normalise, select.output if select else stream)
        if select is not None or ln1.output == graph.output:
            norm = ln1
        else:
            blocks.append(read_block(chain, ln1, stream))
            stream = blocks[-1].res2.output
    if norm.output != graph.output:
        head = chain.take(Classify, norm.output)
    chain.end()
    return Network(
        graph=graph,
        patch=embed.patch,
        embed=embed.add,
        blocks=tuple(blocks),
        select=select.node if select else None,
        norm=norm.node,
        head=head.node if head else None,
    )


def read_block(chain: Chain, ln1: Normalise, stream: str) -> Block:
    """The block that begins with ``ln1`` of ``stream``, its kernels taken from ``chain``."""
    attend = chain.take(Attend, ln1.output)
    proj = chain.take(Add, attend.output, stream)
    ln2 = chain.take(Normalise, proj.output)
    hidden = chain.take(Hidden, ln2.output)
    fc2 = chain.take(Add, hidden.output, proj.output)
    return Block(
        name=ln1.output.rpartition(".")[0],
        ln1=ln1.node,
        q=attend.q,
        k=attend.k,
        v=attend.v,
        scores=attend.scores,
        softmax=attend.softmax,
        attn=attend.attn,
        proj=proj.linear,
        res1=proj.add,
        ln2=ln2.node,
        fc1=hidden.linear,
        gelu=hidden.gelu,
        fc2=fc2.linear,
        res2=fc2.add,
    )
