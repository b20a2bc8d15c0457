"""Kernels: what one family of instructions computes in one go, as nodes of the graph."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import ClassVar

from golden.graph import ir


@dataclass(frozen=True, kw_only=True)
class Kernel:
    """Some nodes that run together; edges between them exist in no memory of their own.

    The fields of a kernel are its nodes, in the order in which they depend on one another.
    """

    #: What a reader calls it.
    what: ClassVar[str] = ""

    @property
    def nodes(self) -> tuple[ir.Node, ...]:
        """The nodes in order."""
        return tuple(getattr(self, field.name) for field in fields(self))

    @property
    def inputs(self) -> tuple[str, ...]:
        """The edges that it reads, each once, in the order of the nodes that read them."""
        read = [name for node in self.nodes for name in node.inputs]
        made = {node.output for node in self.nodes}
        return tuple(dict.fromkeys(name for name in read if name not in made))

    @property
    def output(self) -> str:
        """The edge that it leaves."""
        return self.nodes[-1].output


@dataclass(frozen=True, kw_only=True)
class Embed(Kernel):
    """Patches to the residual stream: products, and position constants if there are any."""

    what = "patch embedding"
    patch: ir.PatchEmbed
    add: ir.Residual


@dataclass(frozen=True, kw_only=True)
class Normalise(Kernel):
    """A LayerNorm of tokens of the residual stream."""

    what = "LayerNorm"
    node: ir.LayerNorm


@dataclass(frozen=True, kw_only=True)
class Attend(Kernel):
    """Queries, keys and values of every head, scores, codes and their products."""

    what = "self-attention"
    q: ir.Linear
    k: ir.Linear
    v: ir.Linear
    scores: ir.Scores
    softmax: ir.Softmax
    attn: ir.AttnValue


@dataclass(frozen=True, kw_only=True)
class Add(Kernel):
    """A linear layer whose sums join the residual stream: reads its input and the stream."""

    what = "linear layer into the residual stream"
    linear: ir.Linear
    add: ir.Residual


@dataclass(frozen=True, kw_only=True)
class Begin(Kernel):
    """A linear layer whose sums begin a residual stream."""

    what = "linear layer that begins a residual stream"
    linear: ir.Linear
    add: ir.Residual


@dataclass(frozen=True, kw_only=True)
class Hidden(Kernel):
    """A linear layer through the GELU table."""

    what = "linear layer with GELU"
    linear: ir.Linear
    gelu: ir.Gelu


@dataclass(frozen=True, kw_only=True)
class Keep(Kernel):
    """One token of a tensor; a view."""

    what = "selection of a token"
    node: ir.Select


@dataclass(frozen=True, kw_only=True)
class Gathered(Kernel):
    """Four neighbours of a tensor as one token; a view."""

    what = "patch merging"
    node: ir.Merge


@dataclass(frozen=True, kw_only=True)
class Pooled(Kernel):
    """The sum of all tokens."""

    what = "pooling"
    node: ir.Pool


@dataclass(frozen=True, kw_only=True)
class Classify(Kernel):
    """A linear layer whose sums leave as they are."""

    what = "classifier"
    node: ir.Head
