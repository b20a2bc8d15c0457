"""Quantization-aware fine-tuning: the forward pass is the integer network's, bit for bit.

The float network is the teacher: the loss is the divergence of its logits, so no labels are needed;
labels may count beside it. Weights, biases, LayerNorm constants and power-of-two steps learn; the
residual stream's exponents, found on calibration pictures (PackQViT's outlier-aware treatment with
powers of two as ratios), stay, and what saturates there is pulled back.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from golden.execute.batched import Executor
from golden.graph import ir
from golden.ops.gelu import Activation
from golden.quant.learn.exponents import moved
from golden.quant.learn.layer import clamp
from golden.quant.learn.network import LearnedNetwork
from golden.quant.learn.workers import Workers
from golden.support.errors import PotvitError
from golden.training.checkpoint import State, Tensors
from golden.training.options import TrainOptions

Floats = npt.NDArray[np.float64]
#: Adam's memories and its guard against division by zero, far below any gradient here.
BETAS, EPSILON = (0.9, 0.999), 1e-15
#: A step moves its exponent where it is this many octaves away: more than half, lest it flutter.
REACH = 0.6
#: Kinds of parameters that are exponents.
STEPS = ("step", "weight_step")


class Training:
    """One run over ``pixels`` [N, H, W, C], from a calibrated graph on.

    ``teacher`` [N, classes] are the float network's logits, ``labels`` [N] classes (looked at
    where `TrainOptions.hard` is not 0), ``wanted`` the real weights behind the graph's.
    ``function`` is what the graph's tables hold.
    """

    def __init__(
        self,
        graph: ir.Graph,
        wanted: Mapping[str, Floats],
        pixels: npt.NDArray[np.uint8],
        teacher: torch.Tensor,
        labels: npt.NDArray[np.int64],
        options: TrainOptions,
        pool: Workers,
        *,
        function: Activation = Activation.GELU,
        device: str = "cpu",
    ) -> None:
        self.options, self._pool, self._function = options, pool, function
        self._graph, self._device = graph, torch.device(device)
        self._pixels, self._labels = torch.from_numpy(pixels), torch.from_numpy(labels)
        self._teacher = F.log_softmax(teacher.float(), -1)
        latent = {name: torch.from_numpy(value) for name, value in wanted.items()}
        self.network = LearnedNetwork(graph, self._device, latent, steps=True, pull=options.pull)
        self._moves = {
            name: torch.zeros(len(value), dtype=torch.int32)
            for name, value in self.network.parameters.items()
            if name.split("/")[1] in STEPS
        }

    def begin(self, run: str) -> State:
        """The state before the first epoch."""
        state = State(run=run)
        parameters = self.network.parameters
        for group in ("first", "second"):
            state.keep(group, {name: torch.zeros_like(v) for name, v in parameters.items()})
        state.keep("now", parameters)
        state.keep("moves", self._moves)
        self._note(state, {"loss": None, "moved": 0})
        return state

    def restore(self, state: State) -> None:
        """Go on from a state of the same run."""
        self._rebuild(state.group("now"), state.group("moves"))

    def epoch(self, state: State, tell: Callable[[int, float], None]) -> None:
        """One pass: exponents move where their steps have, then every picture is seen once.

        ``tell`` is called after every step with how many are done and the loss of a picture.

        Raises:
            PotvitError: the loss is no number; ``state`` is that of the epoch before.
        """
        count = self._settle()
        parameters = self.network.parameters
        moving = [value.requires_grad_() for value in parameters.values()]
        first, second = (
            [state.group(group)[name].to(self._device) for name in parameters]
            for group in ("first", "second")
        )
        losses, steps = [], state.steps
        try:
            for pictures in self._order(state.epoch):
                loss, gradients = self._pool.gradients(self._loss, pictures, moving)
                if not math.isfinite(loss):
                    raise PotvitError(
                        f"epoch {state.epoch + 1}: the loss is {loss}: the checkpoint of epoch "
                        f"{state.epoch} is kept, go on from it with a lower --lr"
                    )
                steps += 1
                self._step(gradients, first, second, steps, len(pictures))
                losses.append(loss / len(pictures))
                tell(steps, losses[-1])
        finally:
            for value in moving:
                value.requires_grad_(False)
        state.steps, state.epoch = steps, state.epoch + 1
        for group, values in (("first", first), ("second", second)):
            state.keep(group, dict(zip(parameters, values, strict=True)))
        state.keep("now", parameters)
        state.keep("moves", self._moves)
        self._note(state, {"loss": float(np.mean(losses)), "moved": count})

    def result(self, state: State) -> ir.Graph:
        """The integer network of the best epoch, proven on every picture.

        Raises:
            PotvitError: its logits are not those that the training forward makes.
        """
        self._rebuild(state.group("best"), state.group("best_moves"))
        graph = self.network.learned()
        found = self._pool.each(self._logits, len(self._pixels))
        made = Executor(graph).run(self._pixels.numpy())
        if not np.array_equal(found.double().cpu().numpy(), made.astype(np.float64)):
            raise PotvitError("the exported network's logits are not the trained ones")
        return graph

    @property
    def steps(self) -> int:
        """Steps of the whole run."""
        return self.options.epochs * self._per_epoch

    @property
    def _per_epoch(self) -> int:
        return -(-len(self._pixels) // self.options.batch)

    def _order(self, epoch: int) -> list[torch.Tensor]:
        generator = torch.Generator().manual_seed(self.options.seed * 100_003 + epoch)
        order = torch.randperm(len(self._pixels), generator=generator)
        return list(order.split(self.options.batch))

    def _logits(self, pictures: torch.Tensor) -> torch.Tensor:
        """Integer logits [n, classes] in floats."""
        network = self.network
        values = {network.graph.input: self._pixels[pictures].to(self._device).float()}
        made = network.run(range(len(network.layers)), values, network.parameters)
        return made[network.graph.output].flatten(1)

    def _loss(self, pictures: torch.Tensor) -> torch.Tensor:
        """Summed loss of some pictures."""
        unit = 2.0 ** int(self.network.graph.tensors[self.network.graph.output].exponent[0])
        found = F.log_softmax(self._logits(pictures) * unit, -1)
        teacher = self._teacher[pictures].to(self._device)
        loss = F.kl_div(found, teacher, log_target=True, reduction="sum")
        if self.options.hard:
            labels = self._labels[pictures].to(self._device)
            loss = loss + self.options.hard * F.nll_loss(
                found, labels, reduction="sum", ignore_index=-1
            )
        return loss

    def _note(self, state: State, entry: dict[str, Any]) -> None:
        """Measure the epoch over all pictures; remember it if it is the best."""
        total = self._pool.each(lambda i: self._loss(i)[None], len(self._pixels))
        objective = float(total.double().sum()) / len(self._pixels)
        entry = {"epoch": state.epoch, **entry, "objective": objective}
        least = min((e["objective"] for e in state.history), default=math.inf)
        state.history.append(entry)
        if objective < least:
            state.best = state.epoch
            state.keep("best", state.group("now"))
            state.keep("best_moves", state.group("moves"))

    def _step(
        self,
        gradients: list[torch.Tensor],
        first: list[torch.Tensor],
        second: list[torch.Tensor],
        step: int,
        pictures: int,
    ) -> None:
        """AdamW with a rate that falls along half a cosine."""
        slower = 0.5 * (1 + math.cos(math.pi * (step - 1) / max(self.steps, 1)))
        named = self.network.parameters.items()
        with torch.no_grad():
            for (name, value), g, m, v in zip(named, gradients, first, second, strict=True):
                kind = name.split("/")[1]
                g = g / pictures
                m.lerp_(g, 1 - BETAS[0])
                v.lerp_(g * g, 1 - BETAS[1])
                rate = self.options.rate(kind) * slower
                if kind in ("weight", "weight4"):
                    value.mul_(1 - rate * self.options.weight_decay)
                mean = m / (1 - BETAS[0] ** step)
                deviation = (v / (1 - BETAS[1] ** step)).sqrt_().add_(EPSILON)
                value.sub_(rate * mean / deviation)
                clamp(kind, value)

    def _settle(self) -> int:
        """Move exponents to where their steps have gone; how many moved.

        If hardware could not hold one of them, none moves.
        """
        wanted = {}
        for name, move in self._moves.items():
            latent = self.network.parameters[name].detach().cpu()
            far = (latent - move).abs() > REACH
            wanted[name] = torch.where(far, latent.round().to(torch.int32), move)
        changed = {n: wanted[n] - m for n, m in self._moves.items() if not wanted[n].equal(m)}
        if not changed:
            return 0
        before = {n: v.detach().cpu().clone() for n, v in self.network.parameters.items()}
        try:
            self._rebuild(self._rescaled(before, changed), wanted)
        except PotvitError:
            for name, move in self._moves.items():
                before[name] = before[name].clamp(move - REACH, move + REACH)
            self._rebuild(before, self._moves)
            return 0
        return int(sum((change != 0).sum() for change in changed.values()))

    def _rescaled(self, parameters: Tensors, changed: Mapping[str, torch.Tensor]) -> Tensors:
        """Parameters in the last places that they will have after ``changed``."""
        made = dict(parameters)
        for name, change in changed.items():
            node, kind = name.split("/")
            factor = torch.exp2(-change.float())
            for other in ("weight", "weight4") if kind == "weight_step" else ("bias", "beta"):
                key = f"{node}/{other}"
                if key in made:
                    value = made[key]
                    spread = factor.repeat_interleave(len(value) // len(factor))
                    made[key] = value * (spread[:, None] if value.ndim == 2 else spread)
                    clamp(other, made[key])
        return made

    def _rebuild(self, parameters: Tensors, moves: Tensors) -> None:
        """Take over parameters, and exponents moved from the calibrated graph's.

        Raises:
            PotvitError: hardware could not hold the graph; nothing has changed.
        """
        outputs = {node.name: node.output for node in self._graph.nodes}
        found: dict[str, dict[str, Any]] = {kind: {} for kind in STEPS}
        for name, move in moves.items():
            node, kind = name.split("/")
            found[kind][node if kind == "weight_step" else outputs[node]] = move.numpy()
        graph = moved(self._graph, found["step"], found["weight_step"], self._function)
        Executor(graph)  # proves its widths
        network = LearnedNetwork(graph, self._device, steps=True, pull=self.options.pull)
        for name, value in parameters.items():
            network.parameters[name].copy_(value)
        self.network, self._moves = network, {name: m.clone() for name, m in moves.items()}
