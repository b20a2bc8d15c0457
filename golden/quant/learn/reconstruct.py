"""Learned rounding, stage by stage: the integer network is fitted to the float one's stream.

A stage's weights, biases and LayerNorm constants move together, by Adam, until what the exact
integer forward makes at its end is nearest to what the float network has there. A stage
whose loss over all pictures did not fall stays as it was. The stage reads
the pictures as all learned stages before it leave them, so it also makes up for their errors.
Rounding is learned through latent weights that start at the compensated rounding (AdaRound,
arXiv:2004.10568, asks which way each weight is rounded; BRECQ, arXiv:2102.05426, asks it of a
block as a whole).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from golden.catalogue.preprocess import Preprocess
from golden.graph import ir
from golden.quant.learn.layer import clamp
from golden.quant.learn.network import LearnedNetwork
from golden.quant.learn.options import LearnOptions
from golden.quant.learn.state import Saved
from golden.quant.learn.targets import Stage
from golden.quant.learn.workers import Loss, Workers, workers
from golden.support.errors import PotvitError
from golden.support.progress import progress

#: Adam's guard against division by zero: far below any gradient here.
EPSILON = 1e-15


class Reconstruction:
    """The pictures on their way through both networks, and the stages learned so far."""

    def __init__(
        self,
        network: LearnedNetwork,
        stages: Sequence[Stage],
        preprocess: Preprocess,
        pixels: npt.NDArray[np.uint8],
        options: LearnOptions,
        pool: Workers,
    ) -> None:
        self.network, self.stages, self.options, self._pool = network, stages, options, pool
        self._integer, self._edge = torch.from_numpy(pixels), network.graph.input
        self._float = pool.each(
            lambda i: stages[0].run(preprocess.normalize(pixels[i.numpy()])), len(pixels)
        )

    def stage(self, number: int, saved: Saved) -> None:
        """Learn one stage (or take it from ``saved``), then carry the pictures past it."""
        stage, network = self.stages[number], self.network
        if number:
            run, before = stage.run, self._float
            self._float = self._pool.each(lambda i: run(before[i]), len(before))
        nodes = network.between(self._edge, stage.edge)
        names = {network.graph.nodes[i].name for i in nodes}
        mine = {k: v for k, v in network.parameters.items() if k.split("/")[0] in names}
        if not saved.restore(number, mine):
            self._learn(number, nodes, mine)
            saved.keep(number, mine)
        if stage.edge == network.graph.output:
            return
        forward = self._forward(nodes, stage.edge)
        count = len(self._integer)
        made = self._pool.each(lambda i: forward(i).to(torch.int8), count)
        self._integer, self._edge = made, stage.edge

    def _forward(self, nodes: range, end: str) -> Callable[[torch.Tensor], torch.Tensor]:
        """The stage as a function of picture numbers, from the integers at its beginning."""
        network, edge, values = self.network, self._edge, self._integer

        def run(i: torch.Tensor) -> torch.Tensor:
            return network.run(nodes, {edge: values[i].float()}, network.parameters)[end]

        return run

    def _learn(self, number: int, nodes: range, mine: Mapping[str, torch.Tensor]) -> None:
        kinds = [name.split("/")[1] for name in mine]
        moving = [value.requires_grad_() for value in mine.values()]
        rates = [self.options.rate(kind) for kind in kinds]
        adam = torch.optim.Adam([{"params": [value]} for value in moving], eps=EPSILON)
        loss, count = self._loss(number, nodes), len(self._float)
        start = [value.detach().clone() for value in moving]
        before = float(self._pool.each(lambda i: loss(i)[None], count).sum())
        for step, pictures in enumerate(self._order(number)):
            slower = 0.5 * (1 + math.cos(math.pi * step / self.options.steps))
            value, gradients = self._pool.gradients(loss, pictures, moving)
            if not math.isfinite(value):
                raise PotvitError(f"{self.stages[number].edge}: its loss is {value}: learn slower")
            for group, rate, tensor, gradient in zip(
                adam.param_groups, rates, moving, gradients, strict=True
            ):
                group["lr"], tensor.grad = rate * slower, gradient
            adam.step()
            for kind, tensor in zip(kinds, moving, strict=True):
                clamp(kind, tensor)
        after = float(self._pool.each(lambda i: loss(i)[None], count).sum())
        for tensor, old in zip(moving, start, strict=True):
            tensor.grad = None
            tensor.requires_grad_(False)
            if not after < before:
                tensor.copy_(old)

    def _order(self, number: int) -> Iterator[torch.Tensor]:
        """Batches of picture numbers: every picture once before any comes again."""
        count, options = len(self._float), self.options
        generator = torch.Generator().manual_seed(options.seed * 1000 + number)
        waiting = torch.empty(0, dtype=torch.long)
        batch = min(options.batch, count)
        for _ in range(options.steps):
            if len(waiting) < batch:
                waiting = torch.cat([waiting, torch.randperm(count, generator=generator)])
            yield waiting[:batch]
            waiting = waiting[batch:]

    def _loss(self, number: int, nodes: range) -> Loss:
        """Summed loss of some pictures: squared error of the stream, or divergence of logits."""
        stage, target = self.stages[number], self._float
        tensor = self.network.graph.tensors[stage.edge]
        unit = torch.from_numpy(np.exp2(tensor.exponent.astype(np.float64))).float()
        forward = self._forward(nodes, stage.edge)
        if stage.edge == self.network.graph.output:
            return lambda i: F.kl_div(
                F.log_softmax((forward(i) * unit).flatten(1), -1),
                F.log_softmax(target[i].flatten(1), -1),
                log_target=True,
                reduction="sum",
            )
        tokens = torch.ones(target.shape[1], 1)
        tokens[0] = stage.first
        tokens /= tokens.sum() * float(target.square().mean()) * target.shape[2]
        return lambda i: ((forward(i) * unit - target[i]).square() * tokens).sum()


def reconstruct(
    graph: ir.Graph,
    stages: Sequence[Stage],
    preprocess: Preprocess,
    pixels: npt.NDArray[np.uint8],
    wanted: Mapping[str, npt.NDArray[np.float64]],
    options: LearnOptions,
    saved: Saved,
    *,
    quiet: bool = True,
) -> ir.Graph:
    """Return ``graph`` with learned constants; exponents, tables and thresholds stay.

    ``pixels`` [N, H, W, C] are the pictures to learn from (no labels), ``wanted`` the real weights
    that each node was rounded from. The result is the same for every number of threads and
    whether or not ``saved`` held stages already. Raises ``PotvitError`` for a graph that cannot
    be learned and where the loss is no number.
    """
    latent = {name: torch.from_numpy(value) for name, value in wanted.items()}
    network = LearnedNetwork(graph, torch.device("cpu"), latent)
    largest = max(math.prod(graph.tensors[stage.edge].shape) for stage in stages[:-1])
    with workers(largest) as pool:
        work = Reconstruction(network, stages, preprocess, pixels, options, pool)
        for number in progress(range(len(stages)), "" if quiet else "learning"):
            work.stage(number, saved)
    return network.learned()
