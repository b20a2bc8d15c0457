import random
import struct

from hw.buffers.small import ConstantQueue, NormBuffer, OutBuffer
from hw.config import preset

CONFIG = preset("tiny")


def test_logits_are_stored_little_endian(simulate):
    dut = OutBuffer(CONFIG)

    async def bench(ctx):
        for at in (0, 3, CONFIG.out_words - 1):
            row = [(-1) ** c * (at + 1) * 1000003 * (c + 1) for c in range(CONFIG.cols)]
            ctx.set(dut.drain_write.en, 1)
            ctx.set(dut.drain_write.payload, {"addr": at, "data": row})
            await ctx.tick()
            ctx.set(dut.drain_write.en, 0)
            ctx.set(dut.store_read.req.valid, 1)
            ctx.set(dut.store_read.req.payload, at)
            assert ctx.get(dut.store_read.req.ready)
            await ctx.tick()
            want = b"".join(x.to_bytes(4, "little", signed=True) for x in row)
            assert bytes(ctx.get(dut.store_read.data)) == want

    simulate(dut, bench)


def test_norm_parameters(simulate):
    dut = NormBuffer(CONFIG)

    async def bench(ctx):
        words = [random.Random(i).randbytes(CONFIG.norm_bytes) for i in range(CONFIG.norm_words)]
        ctx.set(dut.load_write.valid, 1)
        for at, word in enumerate(words):
            ctx.set(dut.load_write.payload, {"addr": at, "data": list(word)})
            assert ctx.get(dut.load_write.ready)
            await ctx.tick()
        ctx.set(dut.load_write.valid, 0)
        ctx.set(dut.alpha_read.en, 1)
        ctx.set(dut.gain_read.en, 1)
        for at, word in enumerate(words):
            other = len(words) - 1 - at
            ctx.set(dut.alpha_read.addr, at)
            ctx.set(dut.gain_read.addr, other)
            await ctx.tick()
            for lane in range(CONFIG.lanes):
                gamma, beta = struct.unpack_from("<hxxi", words[other], 8 * lane)
                assert ctx.get(dut.alpha_read.data[lane]) == word[8 * lane + 2] & 3
                assert ctx.get(dut.gain_read.data[lane].gamma) == gamma
                assert ctx.get(dut.gain_read.data[lane].beta) == beta

    simulate(dut, bench)


def test_constants_can_be_pushed_and_popped_on_trust(simulate):
    """``room`` rows go in and ``level`` rows come out at one a cycle, whatever happens."""
    dut = ConstantQueue(CONFIG)
    rng = random.Random(3)
    sent = taken = 0
    fullest = 0

    def row(n):
        return [(n * 7 + c) % 65536 - 32768 for c in range(CONFIG.cols)]

    async def bench(ctx):
        nonlocal sent, taken, fullest
        pushes = pops = 0
        while taken < 1500:
            if pushes == 0 and rng.random() < 0.2:
                pushes = ctx.get(dut.room)
            assert ctx.get(dut.o.valid) or not ctx.get(dut.level)
            draining = taken // 200 % 2 or sent - taken > CONFIG.const_rows - 2
            if pops == 0 and rng.random() < (0.3 if draining else 0.02):
                pops = ctx.get(dut.level)
            ctx.set(dut.i.valid, pushes > 0)
            ctx.set(dut.i.payload, row(sent))
            ctx.set(dut.o.ready, pops > 0)
            fullest = max(fullest, sent - taken)
            if pushes:
                assert ctx.get(dut.i.ready)
                sent, pushes = sent + 1, pushes - 1
            if pops:
                assert ctx.get(dut.o.valid)
                assert list(ctx.get(dut.o.payload)) == row(taken)
                taken, pops = taken + 1, pops - 1
            await ctx.tick()

    simulate(dut, bench)
    assert fullest >= CONFIG.const_rows - 1
