"""A block's projection and MLP in small token blocks that follow one another through ACT.

While the LayerNorm behind a block's projection runs, the array is at the block before; while the
one behind its MLP runs and the block leaves, it is at the next one's fc1:

```
proj.0 fc1.0 | proj.1 fc2.0 fc1.1 | proj.2 fc2.1 fc1.2 | ..
       ln2.0   ..ln2.1 ln1.0        ..ln2.2 ln1.1
```
"""

from __future__ import annotations

from hw.compiler.image.layout import Tiles
from hw.compiler.lower.attention import AttentionLowering
from hw.compiler.lower.emitter import Emitter
from hw.compiler.lower.mlp import MlpLowering
from hw.compiler.lower.norm import NormLowering
from hw.compiler.lower.norm_outputs import NormOutputs
from hw.compiler.plan.allocate import Part, Region


class StreamedTail:
    """Lowers what comes behind the attention of one block, up to the LayerNorm ``after`` it."""

    def __init__(
        self,
        attention: AttentionLowering,
        mlp: MlpLowering,
        ln2: NormLowering,
        after: NormLowering,
        x: NormOutputs,
    ) -> None:
        self.attention, self.mlp, self.ln2, self.after, self.x = attention, mlp, ln2, after, x
        self.emitter: Emitter = mlp.emitter
        self.plan = self.emitter.plan
        assert self.plan.streamed is not None
        self.homes = self.plan.streamed

    def lower(self) -> None:
        """All token blocks."""
        parts = self.plan.parts
        proj = self.attention.begin_projection(self.ln2)
        fc1, fc2 = self.mlp.tiles(self.after)
        for number, part in enumerate(parts):
            self.emitter.begin_layer(f"{self.mlp.block.name}.proj")
            self.emitter.stream.enter(part, parts)
            self.attention.add(proj, part)
            normalise(self.ln2, part, self._second(number))
            if number:
                self._fc2(fc2, parts[number - 1])
            self.mlp.fc1(fc1, self._second(number), self._hidden(part), part)
        self._fc2(fc2, parts[-1])

    def _fc2(self, tiles: Tiles, part: Part) -> None:
        stream = self.emitter.stream
        stream.resume(part)
        self.mlp.fc2(tiles, self._hidden(part), part)
        region = self.x.target(part)
        normalise(self.after, part, region)
        if not self.after.last:
            self.x.leave(part, region)
        stream.leave(part, kept=not self.after.last)

    def _second(self, number: int) -> Region:
        stride, part = self.plan.x.stride, self.plan.parts[number]
        return Region(self.homes.seconds[number % 2] - part.first * stride, stride)

    def _hidden(self, part: Part) -> Region:
        stride = self.mlp.stride
        return Region(self.homes.hidden - part.first * stride, stride)


def normalise(norm: NormLowering, part: Part, to: Region) -> None:
    """Run ``norm``, whose parameters another one's may have replaced since it ran last."""
    if norm.params is None or not norm.emitter.norm_there(norm.index):
        norm.load()
    norm.run(part, to)
