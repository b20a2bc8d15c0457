"""Value pass and its walk: values times codes of several row groups, with waits on every side."""

import numpy as np
import pytest

from golden.ops.shift_attention import ShiftAttention
from golden.ops.softmax import AttnFormat
from hw.attention.sweep_walk import SweepWalk
from hw.attention.value_pass import ValuePass
from hw.config import preset
from hw.isa.latencies import READ, SHIFT_ADD, SWEEP_GAP

CONFIG = preset("tiny").change(name="odd", rows=3, cols=8)
P, ROWS, CHANNELS = CONFIG.keys_per_cycle, CONFIG.rows, CONFIG.act_bytes
WORDS = CONFIG.head_lanes // CHANNELS
RNG = np.random.default_rng(9)
VALUES = RNG.integers(-128, 128, (CONFIG.value_words, CONFIG.head_lanes))


def work():
    """Instructions with their groups' codes, [key][row]."""
    for n, keys in enumerate((1, P, P + 1, 5, 4 * P - 1, 9)):
        instr = {
            "keys": keys, "half": n & 1, "v_addr": 3 * P * n, "shift": 15 + n, "d_addr": 4 * n,
            "d_words": WORDS - n % 2,
        }  # fmt: skip
        yield instr, RNG.integers(0, 32 if n & 1 else 16, (keys, ROWS))


def value_word(addr):
    """Word of the value buffer: P tokens, the channels of one word of ACT each."""
    token, word = addr - addr % P, addr % P
    return VALUES[token : token + P, word * CHANNELS : (word + 1) * CHANNELS].ravel().tolist()


async def take(ctx, dut, groups, sent):
    """Offer the next instruction."""
    ctx.set(dut.i.valid, sent < len(groups))
    ctx.set(dut.i.payload, groups[min(sent, len(groups) - 1)][0])


def code_word(codes, addr):
    """P keys' codes, [row][key]; what is past the last key is noise."""
    word = RNG.integers(0, 32, (P, ROWS))
    part = codes[addr * P : (addr + 1) * P]
    word[: len(part)] = part
    return word.T.ravel().tolist()


@pytest.mark.parametrize(("waits", "held"), [(0, 0), (0.7, 0), (0, 0.8), (0.5, 0.5)])
def test_every_word_of_every_group(simulate, waits, held):
    groups, dut = list(work()), ValuePass(CONFIG)
    rng = np.random.default_rng(10)
    got, finishes = {}, []

    async def bench(ctx):
        sent = shown = 0
        started = []
        for cycle in range(3000):
            await take(ctx, dut, groups, sent)
            ctx.set(dut.act_write.ready, rng.random() >= waits)
            ctx.set(dut.hold, rng.random() < held)
            write = dut.act_write
            if ctx.get(write.valid) and ctx.get(write.ready):
                addr = ctx.get(write.payload.addr)
                assert addr not in got, "written twice"
                got[addr] = list(ctx.get(write.payload.data))
            if ctx.get(dut.finish):
                finishes.append(cycle)
            codes = ctx.get(dut.codes.read.addr) if ctx.get(dut.codes.read.en) else None
            values = ctx.get(dut.value_read.addr) if ctx.get(dut.value_read.en) else None
            released = ctx.get(dut.codes.release)
            if ctx.get(dut.i.valid) and ctx.get(dut.i.ready):
                started.append(cycle)
                sent += 1
            if len(finishes) == len(groups):
                break
            assert ctx.get(dut.pending) or not started or sent > len(finishes)
            await ctx.tick()
            if codes is not None:
                ctx.set(dut.codes.read.data, code_word(groups[shown][1], codes))
            noise = rng.integers(-128, 128, P * CHANNELS).tolist()
            ctx.set(dut.value_read.data, noise if values is None else value_word(values))
            shown += released
        await ctx.tick()
        assert not ctx.get(dut.pending)
        before = -1
        for (instr, _), start, end in zip(groups, started, finishes, strict=True):
            sweeps = instr["d_words"] * (-(-instr["keys"] // P) + SWEEP_GAP)
            soonest = max(start + sweeps - SWEEP_GAP + READ + SHIFT_ADD, before + sweeps)
            assert end == soonest or (end > soonest and (waits or held))
            before = end

    simulate(dut, bench)
    assert len(finishes) == len(groups)
    compared = 0
    for instr, codes in groups:
        fmt = AttnFormat.HALF if instr["half"] else AttnFormat.LOG2
        channels = instr["d_words"] * CHANNELS
        values = VALUES[instr["v_addr"] :][: instr["keys"], :channels]
        shift = instr["shift"] - (15 if instr["half"] else 14)
        want = ShiftAttention(fmt=fmt).compute(codes.T.astype(np.uint8), values, shift)
        for w in range(instr["d_words"]):
            word = want[:, w * CHANNELS : (w + 1) * CHANNELS].astype(np.uint8)
            assert got.pop(instr["d_addr"] + w) == word.ravel().tolist()
            compared += word.size
    assert not got
    assert compared == sum(i["d_words"] for i, _ in groups) * CHANNELS * ROWS


@pytest.mark.parametrize("holds", [0, 0.5])
def test_walk_reads_every_key_once_a_word(simulate, holds):
    groups, dut = list(work()), SweepWalk(CONFIG)
    rng = np.random.default_rng(11)
    reads = []

    async def bench(ctx):
        sent = 0
        for _ in range(2000):
            await take(ctx, dut, groups, sent)
            ctx.set(dut.hold, rng.random() < holds)
            if sent == len(groups) and not ctx.get(dut.busy):
                return
            sent += ctx.get(dut.i.valid) and ctx.get(dut.i.ready)
            assert not (ctx.get(dut.hold) and ctx.get(dut.read))
            if ctx.get(dut.read):
                step = ctx.get(dut.step)
                place = ctx.get(dut.codes.read.addr), ctx.get(dut.value_addr)
                flags = step.first, step.last, step.final, ctx.get(dut.codes.release)
                reads.append((*place, *flags, step.real, step.addr, step.shift, step.half))
            await ctx.tick()

    simulate(dut, bench)
    want = []
    for instr, _ in groups:
        count = -(-instr["keys"] // P)
        for word in range(instr["d_words"]):
            final = word == instr["d_words"] - 1
            for n in range(count):
                real = (1 << min(P, instr["keys"] - n * P)) - 1
                want.append((
                    n, instr["v_addr"] + n * P + word, n == 0, n == count - 1, final,
                    final and n == count - 1, real, instr["d_addr"] + word, instr["shift"],
                    instr["half"],
                ))  # fmt: skip
    assert reads == want
