import random
from collections import Counter

from hw.buffers.logit import LogitBuffer
from hw.config import preset

CONFIG = preset("tiny").change(logit_words=19, slots=7, rows=3)


def test_random_traffic(simulate):
    rng = random.Random(1)
    dut = LogitBuffer(CONFIG)
    rows, cols, words = CONFIG.rows, CONFIG.cols, CONFIG.logit_words
    model = [[None] * rows for _ in range(words)]
    readers = (dut.read, dut.store_read)
    seen = Counter()

    async def bench(ctx):
        code = None
        for _ in range(1500):
            at = [rng.randrange(words) for _ in readers]
            valid = [rng.random() < 0.5 for _ in readers]
            for reader, a, v in zip(readers, at, valid, strict=True):
                ctx.set(reader.req.valid, v)
                ctx.set(reader.req.payload, a)
            first = valid.index(True) if any(valid) else None
            for i, reader in enumerate(readers):
                if valid[i]:
                    assert bool(ctx.get(reader.req.ready)) == (i == first)
            others = [a for a in range(words) if a not in at]
            drained, bank, addr = rng.random() < 0.4, rng.randrange(rows), rng.choice(others)
            row = [rng.randrange(256) for _ in range(cols)]
            ctx.set(dut.drain_write.en, drained)
            ctx.set(dut.drain_write.payload, {"addr": addr, "bank": bank, "data": row})
            if code is None and rng.random() < 0.5:
                code = {"addr": 0, "data": [rng.randrange(256) for _ in range(rows * cols)]}
            if code is not None:
                code["addr"] = rng.choice(others)
                ctx.set(dut.code_write.payload, code)
            ctx.set(dut.code_write.valid, code is not None)
            want = None if first is None else list(model[at[first]])
            if drained:
                model[addr][bank] = row
            if code is not None:
                assert bool(ctx.get(dut.code_write.ready)) == (not drained)
                seen["code", drained] += 1
                if not drained:
                    model[code["addr"]] = [
                        code["data"][b * cols : (b + 1) * cols] for b in range(rows)
                    ]
                    code = None
            await ctx.tick()
            if want is None:
                continue
            got = [x % 256 for x in ctx.get(readers[first].data)]
            for b in range(rows):
                if want[b] is not None:
                    assert got[b * cols : (b + 1) * cols] == want[b]
                    seen["read", first] += 1

    simulate(dut, bench)
    assert all(seen["read", i] > 50 for i in range(2))
    assert seen["code", True] > 50
    assert seen["code", False] > 50


def test_maxima(simulate):
    dut = LogitBuffer(CONFIG)

    async def bench(ctx):
        ctx.set(dut.max_write.en, 1)
        for slot in range(CONFIG.slots):
            ctx.set(dut.max_write.payload, {"addr": slot, "data": [slot, -slot, slot - 128]})
            await ctx.tick()
        ctx.set(dut.max_write.en, 0)
        ctx.set(dut.max_read.en, 1)
        for slot in range(CONFIG.slots):
            ctx.set(dut.max_read.addr, slot)
            await ctx.tick()
            assert list(ctx.get(dut.max_read.data)) == [slot, -slot, slot - 128]

    simulate(dut, bench)
