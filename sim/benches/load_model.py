"""What LOAD must write: a DRAM image, its instructions, and the writes that follow from them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from hw.config import Config
from hw.isa.instruction import HEADER_BITS, PAYLOAD_BITS, Instr, Mem, Op
from hw.isa.payload import Gather, Load, Payload
from sim.benches.token_runs import Segment, random_run, segments_of

#: Kinds of instructions that a random sequence holds.
KINDS = ("stream", "norm", "gelu", "const", "gather")


def payload_of(body: Payload) -> int:
    """Payload of the unit's instruction port."""
    raw = int.from_bytes(Instr(body=body).pack(), "little") >> HEADER_BITS
    return raw | (body.op is Op.GATHER) << PAYLOAD_BITS - 1


class Model:
    """DRAM image, the instructions, and what each memory must receive in which order."""

    def __init__(self, config: Config, seed: int) -> None:
        self.config = config
        self.rng = np.random.default_rng(seed)
        self.image = bytearray()
        self.instructions: list[int] = []
        self.wanted: dict[str, list[tuple[Any, ...]]] = {
            name: [] for name in ("stream", "norm", "gelu", "const", "act", "residual")
        }
        self.got: dict[str, list[tuple[Any, ...]]] = {name: [] for name in self.wanted}
        self.level = 0

    def sizes(self) -> dict[str, tuple[Mem, int, int]]:
        """Destination code, bytes per word and words of each memory that LOAD fills."""
        c = self.config
        return {
            "stream": (Mem.STREAM, c.stream_bytes, c.stream_words),
            "norm": (Mem.NORM, c.norm_bytes, c.norm_words),
            "gelu": (Mem.GELU, 1, 256),
            "const": (Mem.CONST, c.const_bytes, 1 << 16),
        }

    def append(self, size: int, content: bytes | None) -> tuple[int, bytes]:
        """``content`` (random bytes) at the next place in DRAM, with a random gap before it."""
        bus = self.config.axi_bytes
        self.image += self.rng.bytes(bus * int(self.rng.integers(0, 5)))
        at = len(self.image)
        self.image += self.rng.bytes(size) if content is None else content[:size]
        self.image += bytes(-len(self.image) % bus)
        return at, bytes(self.image[at : at + size])

    def load(self, name: str, words: int, addr: int, content: bytes | None = None) -> None:
        """Append a LOAD of random bytes, or of the start of ``content``."""
        dest, size, _ = self.sizes()[name]
        at, raw = self.append(words * size, content)
        beats = -(-words * size // self.config.axi_bytes)
        self.instructions.append(
            payload_of(Load(dest=dest, addr=addr, words=words, beats=beats, dram=at))
        )
        for i in range(words):
            word = int.from_bytes(raw[i * size : (i + 1) * size], "little")
            self.wanted[name].append((addr + i, word) if name != "const" else (word,))

    def gather(self, run: Gather, segments: Iterable[Segment], at: int | None = None) -> None:
        """Append a GATHER of ``segments``, in this order, from ``at`` (random bytes) on."""
        c = self.config
        if at is None:
            at, _ = self.append((run.runs - 1) * run.pitch + run.beats * c.axi_bytes, None)
        self.instructions.append(payload_of(replace(run, dram=at + run.dram)))
        act = run.mem is Mem.ACT
        size = c.act_bytes if act else c.cols
        for segment in segments:
            raw = bytes(self.image[at + segment.dram : at + segment.dram + segment.bytes_])
            if run.flip:
                raw = bytes(b ^ 0x80 for b in raw)
            for i in range(-(-len(raw) // size)):
                word = int.from_bytes(raw[i * size : (i + 1) * size], "little")
                place = (segment.addr + i, segment.bank) if act else (segment.addr + i,)
                self.wanted[run.mem.name.lower()].append((*place, word))

    def random(self, count: int) -> None:
        """Append random instructions of every kind."""
        c, rng = self.config, self.rng
        for n in range(count):
            name = KINDS[n if n < len(KINDS) else rng.integers(len(KINDS))]
            if name == "gather":
                run = random_run(rng, c)
                self.gather(run, segments_of(run, c))
                continue
            _, size, depth = self.sizes()[name]
            most = min(depth, 256, 6 * 4096 // size)
            words = int(rng.integers(1, max(2, most if n % 2 else most // 8 + 1)))
            self.load(name, words, int(rng.integers(0, depth - words + 1)))

    def network(self, tensors: dict[str, list[bytes]]) -> None:
        """Append loads of a network's own bytes, as much of each as the memories hold."""
        for name, (_, size, depth) in self.sizes().items():
            for n, content in enumerate(tensors[name]):
                words = min(len(content) // size, depth, 4096 // size + 1)
                assert words, f"{len(content)} bytes of {name} are no word of {size}"
                self.load(name, words, min(n, depth - words), content)

    def takers(self) -> dict[str, Callable[[int], None]]:
        """One function per output that splits and records a payload."""
        c = self.config
        bits = c.addr_bits

        def split(name: str, *widths: int) -> Callable[[int], None]:
            def take(payload: int) -> None:
                fields = []
                for width in widths:
                    fields.append(payload & ((1 << width) - 1))
                    payload >>= width
                self.got[name].append((*fields, payload))

            return take

        return {
            "stream": split("stream", bits["stream"]),
            "norm": split("norm", bits["norm"]),
            "gelu": split("gelu", 8),
            "act": split("act", bits["act"], (c.rows - 1).bit_length()),
            "residual": split("residual", bits["residual"]),
        }

    def check(self) -> int:
        """Compare everything that was written, in order; return the number of words."""
        for name, wanted in self.wanted.items():
            got = self.got[name]
            for i, (g, w) in enumerate(zip(got, wanted, strict=False)):
                assert g == w, f"{name} write {i}: got {g}, want {w}"
            assert len(got) == len(wanted), f"{name}: {len(got)} writes, want {len(wanted)}"
        total = sum(map(len, self.wanted.values()))
        assert total, "nothing compared"
        return total
