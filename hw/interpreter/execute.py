"""All instructions on the memory models, each split into what it reads and what it writes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from golden import ops
from golden.ops.layernorm import reciprocal_root
from golden.ops.rounding import rshr, saturate
from golden.ops.softmax import MASKED, AttnFormat, CodeRule
from golden.support.errors import PotvitError
from hw.config import Config
from hw.formats.memories import Space, memories, moved_beats
from hw.formats.norm import NORM_CHANNEL
from hw.interpreter.array import ArrayModel
from hw.interpreter.memories import Memories
from hw.isa.instruction import Instr
from hw.isa.limits import SHIFTS
from hw.isa.payload import (
    Attend,
    Gather,
    Load,
    Matmul,
    Mem,
    Norm,
    Scatter,
    Store,
    TokenRun,
)
from hw.lib.numbers import Array, round_up
from hw.program import runs

STORED = (Mem.ACT, Mem.STREAM, Mem.VALUE, Mem.LOGIT, Mem.RESIDUAL, Mem.OUT)
LOADED = (Mem.STREAM, Mem.NORM, Mem.GELU, Mem.CONST)


class Executor:
    """Executes decoded instructions of ``config`` against a DRAM window.

    ``begin`` reads and computes and returns the function that writes: between the two another
    unit's instruction may run, exactly as in hardware.
    """

    def __init__(self, config: Config, dram: Array) -> None:
        self.config = config
        self.dram = dram
        self.memories = Memories(config)
        self.array = ArrayModel(self.memories)

    def begin(self, instr: Instr) -> Callable[[], None]:
        """Read what ``instr`` reads; the result completes it."""
        match instr.body:
            case Load() as body:
                return self._load(body)
            case Matmul() as body:
                return self.array.issue(body)
            case Norm() as body:
                return self._norm(body)
            case Attend() as body:
                return self._attend(body)
            case Store() as body:
                return self._store(body)
            case Gather() as body:
                return self._gather(body)
            case Scatter() as body:
                return self._scatter(body)
        return lambda: None

    def _window(self, offset: int, size: int, *, write: bool = False) -> Array:
        if offset % self.config.axi_bytes:
            raise PotvitError(f"illegal address: DRAM offset {offset} is not at a beat")
        if offset + size > len(self.dram):
            raise PotvitError(f"outside the window: {size} bytes at offset {offset}")
        self.memories.touch(offset, size, write=write)
        return self.dram[offset : offset + size]

    def _load(self, f: Load) -> Callable[[], None]:
        config, dest, words = self.config, f.dest, f.words
        if dest not in LOADED:
            raise PotvitError(f"illegal instruction: LOAD into {dest.name}")
        space = Space(dest)
        size = memories(config)[space].moved
        if f.beats != moved_beats(space, words, config, packed=True):
            raise PotvitError(
                f"illegal instruction: {words} words of {dest.name} in {f.beats} beats"
            )
        raw = np.array(self._window(f.dram, f.beats * config.axi_bytes)[: words * size])
        if dest is Mem.CONST:
            self.array.constants.extend(raw.view("<i2").reshape(words, config.cols))
            return lambda: None
        shape = (words, *self.memories.data[space].shape[1:])
        value = raw.view(self.memories.data[space].dtype).reshape(shape)
        return lambda: self.memories.write(space, f.addr + np.arange(words), value=value)

    def _norm(self, f: Norm) -> Callable[[], None]:
        config, mem = self.config, self.memories
        if f.token % config.rows:
            raise PotvitError("illegal instruction: NORM must start at a multiple of rows")
        count, width = f.count, f.steps * config.lanes
        per_token = width // config.cols
        at = f.r_addr + np.arange(count)[:, None] * per_token + np.arange(per_token)
        q = mem.read(Space.RESIDUAL, at).reshape(count, width).astype(np.int64)
        stats = mem.read(Space.STATISTICS, f.token + np.arange(count))
        raw = mem.read(Space.NORM, f.p_addr + np.arange(f.steps)).reshape(width, NORM_CHANNEL.size)
        channel = NORM_CHANNEL.unpack(raw)
        s1, s2 = stats[:, :1], stats[:, 1:]
        variance = f.channels * s2 - s1 * s1
        roots = np.array([reciprocal_root(int(v)) for v in variance[:, 0]], np.int64)
        d = f.channels * (q << channel["alpha"]) - s1
        scaled = rshr(d * roots[:, :1], roots[:, 1:]) * channel["gamma"] + channel["beta"]
        y = saturate(rshr(scaled, f.shift), 4 if f.narrow else 8).astype(np.int8)
        token = np.arange(count)[:, None, None]
        step = np.arange(f.steps)[None, :, None]
        to = f.d_addr + token // config.rows * f.d_stride + step // 2
        lane = step % 2 * config.lanes + np.arange(config.lanes)
        bank = np.broadcast_to(token % config.rows, to.shape)
        value = y.reshape(count, f.steps, config.lanes)
        return lambda: mem.write(Space.ACT, to, bank, lane, value=value)

    def _attend(self, f: Attend) -> Callable[[], None]:
        config, mem, keys = self.config, self.memories, f.keys
        fmt = AttnFormat.HALF if f.half else AttnFormat.LOG2
        rule = CodeRule(fq=bool(f.fq), odd=f.odd, even=f.even)
        softmax = ops.LogIntSoftmax(form=config.exp_form, fmt=fmt, rule=rule)
        at = f.l_addr + np.arange(-(-keys // config.cols))
        words = mem.read(Space.LOGIT, at)
        rows = words.transpose(1, 0, 2).reshape(config.rows, -1)
        logits = rows[:, :keys].view(np.int8).astype(np.int64)
        peak = mem.read(Space.MAXIMA, np.array([f.slot]))[0].astype(np.int64)
        t = (peak[:, None] - logits) & 255  # rows that hold no token are junk, but stay in range
        e = softmax.exponential(t, -f.frac)
        if f.masked:
            e = np.where(logits == MASKED, 0, e)
        codes = softmax.codes(e, e.sum(-1, keepdims=True))
        if f.shift not in SHIFTS:
            raise PotvitError(f"illegal instruction: ATTEND shifts by {f.shift}")
        if f.v_addr % config.keys_per_cycle:
            raise PotvitError("illegal address: values must begin in bank 0")
        v = mem.read(Space.VALUE, f.v_addr + np.arange(keys)).astype(np.int64)
        result = self._shifted(fmt, codes, v, f.shift, 4 if f.narrow else 8)
        width = f.d_words * config.act_bytes
        value = result[:, :width].reshape(config.rows, f.d_words, config.act_bytes)

        def finish() -> None:
            to = f.d_addr + np.arange(f.d_words)
            mem.write(Space.ACT, to, value=value.transpose(1, 0, 2))
            if f.write_codes:
                rows[:, :keys] = codes
                back = rows.reshape(config.rows, len(at), config.cols).transpose(1, 0, 2)
                mem.write(Space.LOGIT, at, value=back)

        return finish

    def _shifted(self, fmt: AttnFormat, codes: Array, v: Array, shift: int, bits: int) -> Array:
        """A x V row by row; a junk row may leave 24 bits and then means nothing."""
        unit = ops.ShiftAttention(fmt=fmt)
        base = fmt.fraction_bits
        try:
            return unit.compute(codes, v, shift - base, bits)
        except OverflowError:
            out = np.zeros((len(codes), v.shape[1]), np.int8)
            for row, line in enumerate(codes):
                try:
                    out[row] = unit.compute(line[None], v, shift - base, bits)[0]
                except OverflowError:
                    out[row] = 0
            return out

    def _value_words(self, addr: int, tokens: Array) -> Array:
        """Tokens [t, D] as the words of the value buffer: of P tokens each, 2K channels a word."""
        config, together = self.config, self.config.keys_per_cycle
        if addr % together or len(tokens) % together:
            raise PotvitError(f"STORE of values that are no multiple of {together} tokens")
        split = tokens.reshape(-1, together, together, config.act_bytes)
        return split.transpose(0, 2, 1, 3).reshape(len(tokens), -1)

    def _store(self, f: Store) -> Callable[[], None]:
        src = f.src
        if src not in STORED:
            raise PotvitError(f"illegal instruction: STORE from {src.name}")
        data = self.memories.read(Space(src), f.addr + np.arange(f.words))
        if src is Mem.VALUE:
            data = self._value_words(f.addr, data)
        raw = np.ascontiguousarray(data).reshape(f.words, -1).view(np.uint8)
        pitch = round_up(raw.shape[1], self.config.axi_bytes)
        padded = np.zeros((f.words, pitch), np.uint8)
        padded[:, : raw.shape[1]] = raw
        window = self._window(f.dram, padded.size, write=True)

        def finish() -> None:
            window[:] = padded.reshape(-1)

        return finish

    def _run(self, f: TokenRun, bank_limit: int) -> tuple[Array, Array]:
        """Bank and word of every word of a legal run; DRAM bytes stand in the same order."""
        config = self.config
        if 0 in (f.seg_bytes, f.segs, f.rows, f.runs, f.beats):
            raise PotvitError(f"illegal address: an empty run, {f}")
        if f.bank >= bank_limit or f.line_bank >= bank_limit:
            raise PotvitError(f"illegal address: bank {max(f.bank, f.line_bank)} of {bank_limit}")
        if f.beats * config.axi_bytes < runs.run_bytes(f):
            raise PotvitError(
                f"illegal address: a run of {runs.run_bytes(f)} bytes, {f.beats} beats"
            )
        if f.runs > 1 and f.pitch % config.axi_bytes:
            raise PotvitError(f"illegal address: pitch {f.pitch} is not made of beats")
        return runs.places(f, config)

    def _gather(self, f: Gather) -> Callable[[], None]:
        config, mem = self.config, self.memories
        if f.mem not in (Mem.ACT, Mem.RESIDUAL):
            raise PotvitError(f"illegal address: GATHER into {f.mem.name}")
        bank, at = self._run(f, config.rows if f.mem is Mem.ACT else 1)
        size = runs.run_bytes(f)
        spans = [
            self._window(f.dram + run * f.pitch, f.beats * config.axi_bytes)[:size]
            for run in range(f.runs)
        ]
        raw = np.concatenate(spans).reshape(-1, f.seg_bytes) ^ np.uint8(0x80 if f.flip else 0)
        padded = np.zeros((len(raw), at.shape[-1] * runs.word_bytes(f, config)), np.uint8)
        padded[:, : f.seg_bytes] = raw
        value = padded.view(np.int8).reshape(*at.shape, -1)
        if f.mem is Mem.ACT:
            return lambda: mem.write(Space.ACT, at, bank, value=value)
        return lambda: mem.write(Space.RESIDUAL, at, value=value)

    def _scatter(self, f: Scatter) -> Callable[[], None]:
        config = self.config
        if f.mem is not Mem.RESIDUAL or f.flip or f.seg_bytes % config.cols:
            raise PotvitError(f"illegal address: SCATTER of {f.seg_bytes} bytes from {f.mem.name}")
        _, at = self._run(f, 1)
        data = self.memories.read(Space.RESIDUAL, at).reshape(f.runs, -1).view(np.uint8)
        padded = np.zeros((f.runs, f.beats * config.axi_bytes), np.uint8)
        padded[:, : data.shape[1]] = data
        spans = [
            self._window(f.dram + run * f.pitch, padded.shape[1], write=True)
            for run in range(f.runs)
        ]

        def finish() -> None:
            for span, line in zip(spans, padded, strict=True):
                span[:] = line

        return finish
