"""Row groups of ATTN and the memories around the unit, with what must be in them at the end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from golden.ops.shift_attention import ShiftAttention
from golden.ops.softmax import RULE_CENTRED, AttnFormat, CodeRule, ExpForm, LogIntSoftmax
from hw.config import Config
from hw.isa.instruction import HEADER_BITS, Instr
from hw.isa.payload import Attend
from hw.precision import Precision

Ints = npt.NDArray[np.int64]
UNTOUCHED = 0xAA


@dataclass(frozen=True, kw_only=True)
class Case:
    """A row group: logits [rows, keys], values [keys, d], and how to turn them into results."""

    logits: Ints
    values: Ints
    frac: int
    fmt: AttnFormat = AttnFormat.LOG2
    rule: CodeRule = RULE_CENTRED
    shift: int = 0
    write_codes: bool = False
    masked: bool = False
    narrow: bool = False

    def result(
        self, form: ExpForm, bits: int = 8
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int8]]:
        """Codes and attention x V, ``bits`` wide, as the operators define them."""
        softmax = LogIntSoftmax(form=form, fmt=self.fmt, rule=self.rule)
        codes = softmax.compute(self.logits, -self.frac, masked=self.masked)
        unit = ShiftAttention(fmt=self.fmt)
        return codes, unit.compute(codes, self.values, self.shift, bits)


def to_int(values: npt.NDArray[Any]) -> int:
    """Bytes of an array as one little-endian integer."""
    return int.from_bytes(np.ascontiguousarray(values, dtype=np.int8).tobytes(), "little")


def to_bytes(word: int, count: int) -> npt.NDArray[np.uint8]:
    """The bytes of a memory word."""
    return np.frombuffer(word.to_bytes(count, "little"), np.uint8)


class Model:
    """Memories around the unit, filled by an allocator that starts again when they are full."""

    def __init__(self, config: Config, rng: np.random.Generator) -> None:
        self.config, self.rng = config, rng
        c = config
        noise = rng.integers(0, 256, (c.logit_words, c.rows * c.cols), np.uint8)
        self.logit = noise
        self.maxima = rng.integers(-128, 128, (c.slots, c.rows))
        self.value = rng.integers(-128, 128, (c.value_words, c.head_lanes))
        self.act = np.full((c.act_words, c.rows * c.act_bytes), UNTOUCHED, np.uint8)
        self.want_logit, self.want_act = noise.copy(), self.act.copy()
        self.instructions: list[int] = []
        self.at = {"logit": 0, "value": 0, "act": 0, "slot": 0}
        self.codes_seen: dict[AttnFormat, set[int]] = {f: set() for f in AttnFormat}
        self.results_seen: set[int] = set()
        self.elements = 0

    def _place(self, memory: str, words: int, size: int) -> int | None:
        at = self.at[memory]
        if at + words > size:
            return None
        self.at[memory] = at + words
        return at

    def add(self, case: Case) -> bool:
        """Append an instruction; tell whether there was room for it."""
        c = self.config
        rows, keys = case.logits.shape
        d = case.values.shape[1]
        assert d % c.act_bytes == 0, "results come in whole words"
        words, d_words = -(-keys // c.cols), -(-d // c.act_bytes)
        before = dict(self.at)
        l_addr = self._place("logit", words, c.logit_words)
        v_words = -(-keys // c.keys_per_cycle) * c.keys_per_cycle
        v_addr = self._place("value", v_words, c.value_words)
        d_addr = self._place("act", d_words, c.act_words)
        slot = self._place("slot", 1, c.slots)
        if l_addr is None or v_addr is None or d_addr is None or slot is None:
            self.at = before
            return False
        narrow = case.narrow and c.precision is Precision.W4A4
        codes, y = case.result(c.exp_form, 4 if narrow else 8)
        self.codes_seen[case.fmt] |= set(codes.ravel().tolist())
        self.results_seen |= set(y.ravel().tolist())
        tiles = self.rng.integers(-128, 128, (rows, words * c.cols))  # noise past the last key
        tiles[:, :keys] = case.logits
        tiles = tiles.reshape(rows, words, c.cols).transpose(1, 0, 2).reshape(words, -1)
        self.logit[l_addr : l_addr + words] = tiles.astype(np.int8).view(np.uint8)
        self.want_logit[l_addr : l_addr + words] = self.logit[l_addr : l_addr + words]
        if case.write_codes:
            full = np.zeros((rows, words * c.cols), np.uint8)
            full[:, :keys] = codes
            self.want_logit[l_addr : l_addr + words] = (
                full.reshape(rows, words, c.cols).transpose(1, 0, 2).reshape(words, -1)
            )
        self.maxima[slot] = case.logits.max(1)
        self.value[v_addr : v_addr + keys, :d] = case.values
        self.want_act[d_addr : d_addr + d_words] = (
            y.reshape(rows, d_words, c.act_bytes).transpose(1, 0, 2).reshape(d_words, -1)
        ).view(np.uint8)
        base = 14 if case.fmt is AttnFormat.LOG2 else 15
        self.elements += y.size + (codes.size if case.write_codes else 0)
        fields = {
            "l_addr": l_addr, "slot": slot, "keys": keys, "frac": case.frac,
            "half": int(case.fmt is AttnFormat.HALF), "fq": int(case.rule.fq),
            "odd": case.rule.odd, "even": case.rule.even, "v_addr": v_addr,
            "shift": base + case.shift, "d_addr": d_addr, "d_words": d_words,
            "write_codes": int(case.write_codes), "masked": int(case.masked),
            "narrow": int(narrow),
        }  # fmt: skip
        raw = Instr(body=Attend.of(fields)).pack()
        self.instructions.append(int.from_bytes(raw, "little") >> HEADER_BITS)
        return True

    def value_word(self, addr: int) -> int:
        """A word of the value buffer: the P tokens of its banks, 2K channels of each."""
        together = self.config.keys_per_cycle
        tokens = self.value[addr - addr % together :][:together]
        first = addr % together * self.config.act_bytes
        return to_int(tokens[:, first : first + self.config.act_bytes])

    def write_act(self, payload: int) -> None:
        """Take a result word of all banks."""
        bits, size = self.config.addr_bits["act"], self.config.rows * self.config.act_bytes
        self.act[payload & ((1 << bits) - 1)] = to_bytes(payload >> bits, size)

    def write_code(self, payload: int) -> None:
        """Take a code word of all banks."""
        bits, size = self.config.addr_bits["logit"], self.config.rows * self.config.cols
        self.logit[payload & ((1 << bits) - 1)] = to_bytes(payload >> bits, size)

    def check(self) -> int:
        """Compare both memories, untouched words included; return the results compared."""
        assert self.elements, "nothing compared"
        for name, got, want in (
            ("logit", self.logit, self.want_logit), ("act", self.act, self.want_act),
        ):  # fmt: skip
            bad = np.argwhere(got != want)
            assert not len(bad), (
                f"{name} word {bad[0][0]} byte {bad[0][1]}: got {got[tuple(bad[0])]}, "
                f"want {want[tuple(bad[0])]}; {len(bad)} differ"
            )
        return self.elements
