"""Tokens of NORM and the memories around the unit, with what must be written at the end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from golden.ops.layernorm import LayerNorm
from hw.config import Config
from hw.formats.statistics import sum_widths
from hw.isa.instruction import HEADER_BITS, Instr
from hw.isa.payload import Norm

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


def pack(values: Ints, bits: int) -> int:
    """Little-endian word of ``bits``-bit fields."""
    return sum((int(v) & ((1 << bits) - 1)) << (bits * i) for i, v in enumerate(values))


class Model:
    """Memories around the unit, and what must be in the activation buffer at the end."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.residual: dict[int, int] = {}
        self.statistics: dict[int, int] = {}
        self.norm: dict[int, int] = {}
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
        y = norm.compute(case.q, case.alpha, case.gamma, case.beta, case.shift)
        s1_bits, s2_bits = sum_widths(c.max_channels)
        q = np.pad(case.q, ((0, 0), (0, padded - channels)))
        y = np.pad(y, ((0, 0), (0, padded - channels)))
        stride = (steps + 1) // 2 + 1
        for i in range(count):
            for w in range(words):
                at = case.r_addr + i * words + w
                self.residual[at] = pack(q[i, w * c.cols : (w + 1) * c.cols], 8)
            stat = int(s1[i]) & ((1 << s1_bits) - 1) | int(s2[i]) << s1_bits
            assert int(s2[i]) < 1 << s2_bits
            self.statistics[case.token + i] = stat
            for step in range(steps):
                addr = case.d_addr + i // c.rows * stride + step // 2
                part = y[i, step * c.lanes : (step + 1) * c.lanes]
                self.wanted[i % c.rows, addr, step % 2] = pack(part, 8)
        for ch in range(padded):
            word, lane = divmod(ch, c.lanes)
            entry = 0
            if ch < channels:
                fields = (int(case.gamma[ch]) & 0xFFFF, int(case.alpha[ch]), int(case.beta[ch]))
                entry = fields[0] | fields[1] << 16 | (fields[2] & 0xFFFFFFFF) << 32
            at = case.p_addr + word
            self.norm[at] = self.norm.get(at, 0) | entry << (64 * lane)
        fields_ = {
            "r_addr": case.r_addr, "token": case.token, "count": count, "channels": channels,
            "steps": steps, "p_addr": case.p_addr, "shift": case.shift, "d_addr": case.d_addr,
            "d_stride": stride,
        }  # fmt: skip
        raw = Instr(body=Norm.of(fields_)).pack()
        self.instructions.append(int.from_bytes(raw, "little") >> HEADER_BITS)

    def channels(self, addr: int) -> list[int]:
        """The 64 bits of each channel of a parameter word."""
        return [self.norm[addr] >> (64 * lane) for lane in range(self.config.lanes)]

    def alphas(self, addr: int) -> int:
        """What the unit reads first of a parameter word."""
        return pack(np.array([channel >> 16 & 3 for channel in self.channels(addr)], object), 2)

    def gains(self, addr: int) -> int:
        """Gamma and beta of a parameter word."""
        channels = np.array(self.channels(addr), object)
        return pack((channels & 0xFFFF) | (channels >> 32 & 0xFFFFFFFF) << 16, 48)

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
