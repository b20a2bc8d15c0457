"""Token runs for the benches of GATHER and SCATTER: what docs/homes.md says they are for.

`moves` states each row of the page's table twice: as instructions, and as what it means, a list of
tokens and where each lies. `segments_of` is the page's formula, for runs that mean nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from hw.config import Config
from hw.isa.payload import Gather, Mem, TokenRun

Rng = np.random.Generator


@dataclass(frozen=True)
class Segment:
    """``bytes_`` bytes from ``dram`` on, and bank and word where the first of them lies."""

    dram: int
    bytes_: int
    bank: int
    addr: int


@dataclass(frozen=True, kw_only=True)
class Move:
    """Instructions (window offsets count from ``size`` bytes of DRAM) and what each moves."""

    size: int
    parts: tuple[tuple[dict[str, Any], list[Segment]], ...]


def word_bytes(mem: Mem, config: Config) -> int:
    """Bytes of a word of one bank."""
    return config.act_bytes if mem is Mem.ACT else config.cols


def beats_of(size: int, config: Config) -> int:
    """Beats that hold ``size`` bytes."""
    return -(-size // config.axi_bytes)


def segments_of(run: TokenRun, config: Config) -> Iterator[Segment]:
    """Every segment of a run in the order of access, by the formula."""
    banks = config.rows if run.mem is Mem.ACT else 1
    for r in range(run.runs):
        at = run.dram + r * run.pitch
        for k in range(run.rows):
            q = r * run.rows + k
            z = run.bank + q * run.line_bank
            for s in range(run.segs):
                t = z % banks + s
                addr = run.addr + q * run.line_addr + (z // banks + t // banks) * run.stride
                yield Segment(at, run.seg_bytes, t % banks, addr)
                at += run.seg_bytes


def random_run(rng: Rng, config: Config) -> Gather:
    """A legal run of ragged segments anywhere, more beats than it needs included."""
    mem = (Mem.ACT, Mem.RESIDUAL)[int(rng.integers(2))]
    act = mem is Mem.ACT
    seg = int(rng.integers(1, 5 * word_bytes(mem, config)))
    segs, rows, runs = (int(rng.integers(1, n)) for n in (6, 4, 4))
    beats = beats_of(rows * segs * seg, config) + int(rng.integers(0, 3)) * int(rng.integers(0, 2))
    depth = config.act_words if act else config.residual_words
    stride, line = int(rng.integers(0, 12)), int(rng.integers(0, 20))
    reach = (rows * runs + segs) * (stride + line + 1) + 5
    return Gather(
        mem=mem,
        flip=bool(rng.integers(2)),
        addr=int(rng.integers(0, depth - reach)),
        stride=stride,
        bank=int(rng.integers(config.rows)) if act else 0,
        line_addr=line,
        line_bank=int(rng.integers(config.rows)) if act else 0,
        seg_bytes=seg,
        segs=segs,
        rows=rows,
        runs=runs,
        beats=beats,
        pitch=(beats + int(rng.integers(0, 4))) * config.axi_bytes,
    )


@dataclass(frozen=True)
class Home:
    """Tokens of ``stride`` words (of a row group, in ACT) from word ``base`` on."""

    mem: Mem
    base: int
    stride: int
    config: Config

    def fields(self, token: int = 0, word: int = 0) -> dict[str, Any]:
        """Fields of a run whose first segment begins in a word of a token."""
        bank, addr = self._place(token, word)
        return {"mem": self.mem, "stride": self.stride, "bank": bank, "addr": addr}

    def segment(self, dram: int, bytes_: int, token: int, word: int = 0) -> Segment:
        """A segment that begins in a word of a token."""
        return Segment(dram, bytes_, *self._place(token, word))

    def lines(self, tokens: int) -> dict[str, int]:
        """Fields of lines that begin ``tokens`` tokens apart."""
        if self.mem is Mem.RESIDUAL:
            return {"line_addr": tokens * self.stride}
        groups, banks = divmod(tokens, self.config.rows)
        return {"line_bank": banks, "line_addr": groups * self.stride}

    def _place(self, token: int, word: int) -> tuple[int, int]:
        if self.mem is Mem.RESIDUAL:
            return 0, self.base + token * self.stride + word
        group, bank = divmod(token, self.config.rows)
        return bank, self.base + group * self.stride + word


def _one_run(home: Home, fields: dict[str, Any], segments: list[Segment]) -> Move:
    """A move whose segments stand back to back."""
    size = sum(s.bytes_ for s in segments)
    beats = beats_of(size, home.config)
    whole = fields | {"runs": 1, "beats": beats}
    return Move(size=beats * home.config.axi_bytes, parts=((whole, segments),))


def _tokens(home: Home, count: int, size: int, first: int) -> Move:
    """Tokens back to back."""
    fields = home.fields(first) | {"seg_bytes": size, "segs": count, "rows": 1}
    return _one_run(home, fields, [home.segment(n * size, size, first + n) for n in range(count)])


def _padded_tokens(home: Home, count: int, size: int) -> Move:
    """Tokens that begin with a beat each: a run for each."""
    beats = beats_of(size, home.config)
    pitch = beats * home.config.axi_bytes
    fields = home.fields() | {
        "seg_bytes": size, "segs": 1, "rows": 1, "runs": count, "beats": beats, "pitch": pitch,
    } | home.lines(1)  # fmt: skip
    segments = [home.segment(n * pitch, size, n) for n in range(count)]
    return Move(size=count * pitch, parts=((fields, segments),))


def _native_words(home: Home, words: int) -> Move:
    """Words of ACT as STORE writes them: every bank's part, word after word."""
    size, rows = home.config.act_bytes, home.config.rows
    fields = home.fields() | {"seg_bytes": size, "segs": rows, "rows": words, "line_addr": 1}
    places = [(word, bank) for word in range(words) for bank in range(rows)]
    return _one_run(
        home, fields, [home.segment(n * size, size, b, w) for n, (w, b) in enumerate(places)]
    )


def _patches(home: Home, patches: int, side: int, size: int, first: int) -> Move:
    """``side`` image rows: a row of each patch, ``size`` bytes, goes behind the patch's last."""
    words = -(-size // word_bytes(home.mem, home.config))
    fields = home.fields(first) | {
        "flip": True, "seg_bytes": size, "segs": patches, "rows": side, "line_addr": words,
    }  # fmt: skip
    segments = [
        home.segment((ky * patches + p) * size, size, first + p, ky * words)
        for ky in range(side)
        for p in range(patches)
    ]
    return _one_run(home, fields, segments)


def _window(home: Home, side: int, around: int, size: int, corner: tuple[int, int]) -> Move:
    """A window of a map of ``around`` x ``around`` tokens, round its edges where it passes them."""
    parts = []
    for y, rows in _cut(corner[0], side, around):
        for x, cols in _cut(corner[1], side, around):
            token = (y - corner[0]) % around * side + (x - corner[1]) % around
            fields = home.fields(token) | home.lines(side) | {
                "seg_bytes": size, "segs": cols, "rows": 1, "runs": rows,
                "beats": beats_of(cols * size, home.config), "pitch": around * size,
                "dram": (y * around + x) * size,
            }  # fmt: skip
            segments = [
                home.segment(((y + j) * around + x + i) * size, size, token + j * side + i)
                for j in range(rows)
                for i in range(cols)
            ]
            parts.append((fields, segments))
    return Move(size=around * around * size + home.config.axi_bytes, parts=tuple(parts))


def _cut(first: int, side: int, around: int) -> list[tuple[int, int]]:
    """First row and number of rows before and behind the edge of the map."""
    before = min(side, around - first)
    return [(first, before), (0, side - before)] if before < side else [(first, side)]


def _merge(home: Home, around: int, size: int) -> Move:
    """One row of merged tokens: of two rows of the map, two tokens side by side to each."""
    words = 2 * size // word_bytes(home.mem, home.config)
    fields = home.fields() | {
        "seg_bytes": 2 * size, "segs": around // 2, "rows": 2, "line_addr": words,
    }  # fmt: skip
    segments = [
        home.segment((y * around + 2 * x) * size, 2 * size, x, y * words)
        for y in range(2)
        for x in range(around // 2)
    ]
    return _one_run(home, fields, segments)


def moves(config: Config) -> dict[str, Move]:
    """Every row of the table in docs/homes.md, for both memories where it has both."""
    found: dict[str, Move] = {}
    act = Home(Mem.ACT, 3, 24, config)
    residual = Home(Mem.RESIDUAL, 5, 12, config)
    for home in (act, residual):
        word, name = word_bytes(home.mem, config), home.mem.name.lower()
        whole = max(3 * word, 3 * config.axi_bytes)  # of words and of beats
        found |= {
            f"{name} tokens": _tokens(home, 7, 3 * word, 2),
            f"{name} padded tokens": _padded_tokens(home, 5, 3 * word),
            f"{name} window": _window(home, 3, 5, whole, (1, 2)),
            f"{name} window over an edge": _window(home, 3, 5, whole, (1, 3)),
            f"{name} window over a corner": _window(home, 3, 5, whole, (4, 3)),
            f"{name} merge": _merge(home, 6, 2 * word),
        }
    return found | {
        "act native words": _native_words(act, 6),
        "act patches": _patches(act, 5, 4, 2 * config.act_bytes, 1),
        "act ragged patches": _patches(act, 4, 5, 42, 1),
        "act short patches": _patches(act, 9, 3, 3, 0),
    }
