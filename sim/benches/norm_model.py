"""Tokens of NORM and the memories around the unit, with what must be written at the end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from golden.ops.layernorm import LayerNorm
from hw.config import Config
from hw.formats.statistics import stat_layout
from hw.isa.instruction import HEADER_BITS, Instr
from hw.isa.payload import Norm
from hw.norm.datapath import alpha_layout, gain_layout
from hw.precision import Precision

Ints = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Case:
    """Tokens of one LayerNorm and where they lie; arrays are [tokens, C] and [C]."""

    q: Ints
    alpha: Ints
    gamma: Ints
    beta: Ints
    shift: int
    r_addr: int = 0
    token: int = 0
    p_addr: int = 0
    d_addr: int = 0
    narrow: bool = False


def pack(values: Ints, bits: int) -> int:
    """Little-endian word of ``bits``-bit fields."""
    return sum((int(v) & ((1 << bits) - 1)) << (bits * i) for i, v in enumerate(values))


class Model:
    """Memories around the unit, and what must be in the activation buffer at the end."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.residual: dict[int, int] = {}
        self.statistics: dict[int, int] = {}
        self.alphas: dict[int, int] = {}
        self.gains: dict[int, int] = {}
        self.wanted: dict[tuple[int, int, int], int] = {}
        self.written: dict[tuple[int, int, int], int] = {}
        self.instructions: list[int] = []

    def add(self, case: Case) -> None:
        """Place one case in the memories and append its instruction."""
        c = self.config
        count, channels = case.q.shape
        padded = -(-channels // (2 * c.lanes)) * 2 * c.lanes
        steps, words = padded // c.lanes, padded // c.cols
        norm = LayerNorm(channels=channels)
        s1, s2 = norm.statistics(case.q, case.alpha)
        narrow = case.narrow and c.precision is Precision.W4A4
        bits = 4 if narrow else 8
        y = norm.compute(case.q, case.alpha, case.gamma, case.beta, case.shift, bits)
        q = np.pad(case.q, ((0, 0), (0, padded - channels)))
        y = np.pad(y, ((0, 0), (0, padded - channels)))
        stride = (steps + 1) // 2 + 1
        for i in range(count):
            for w in range(words):
                at = case.r_addr + i * words + w
                self.residual[at] = pack(q[i, w * c.cols : (w + 1) * c.cols], 8)
            sums = {"s1": int(s1[i]), "s2": int(s2[i])}
            self.statistics[case.token + i] = stat_layout(c).const(sums).as_bits()
            for step in range(steps):
                addr = case.d_addr + i // c.rows * stride + step // 2
                part = y[i, step * c.lanes : (step + 1) * c.lanes]
                self.wanted[i % c.rows, addr, step % 2] = pack(part, 8)
        for step in range(steps):
            lanes = slice(step * c.lanes, (step + 1) * c.lanes)
            self._parameters(
                case.p_addr + step, case.alpha[lanes], case.gamma[lanes], case.beta[lanes]
            )
        fields_ = {
            "r_addr": case.r_addr, "token": case.token, "count": count, "channels": channels,
            "steps": steps, "p_addr": case.p_addr, "shift": case.shift, "d_addr": case.d_addr,
            "d_stride": stride, "narrow": int(narrow),
        }  # fmt: skip
        raw = Instr(body=Norm.of(fields_)).pack()
        self.instructions.append(int.from_bytes(raw, "little") >> HEADER_BITS)

    def _parameters(self, addr: int, alpha: Ints, gamma: Ints, beta: Ints) -> None:
        """What the unit's two ports read of a parameter word; channels that are missing are 0."""
        lanes = self.config.lanes
        self.alphas[addr] = alpha_layout(lanes).const([int(a) for a in alpha]).as_bits()
        gains = [{"gamma": int(g), "beta": int(b)} for g, b in zip(gamma, beta, strict=True)]
        self.gains[addr] = gain_layout(lanes).const(gains).as_bits()

    def write(self, payload: int) -> None:
        """Take one activation write."""
        addr_bits, bank_bits = self.config.addr_bits["act"], (self.config.rows - 1).bit_length()
        addr = payload & ((1 << addr_bits) - 1)
        bank = payload >> addr_bits & ((1 << bank_bits) - 1)
        half = payload >> (addr_bits + bank_bits) & 1
        key = bank, addr, half
        assert key in self.wanted, f"write to {key}, which no instruction names"
        assert key not in self.written, f"{key} written twice"
        self.written[key] = payload >> (addr_bits + bank_bits + 1)

    def check(self) -> int:
        """Compare everything; return the number of bytes compared."""
        for key, want in self.wanted.items():
            got = self.written.get(key)
            assert got == want, f"(bank, word, half) {key}: got {got}, want {want:#x}"
        assert self.wanted, "nothing compared"
        return len(self.wanted) * self.config.lanes
