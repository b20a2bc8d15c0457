"""Gearbox: wide and narrow words against byte strings."""

import random

import pytest

from hw.lib.gearbox import Gearbox


@pytest.mark.parametrize("beat_bytes", [4, 16, 64])
@pytest.mark.parametrize("pauses", [0.0, 0.5])
def test_words_of_every_size(simulate, beat_bytes, pauses):
    sizes = (64, 16, 1, 8)
    unit = Gearbox(beat_bytes, sizes)
    rng = random.Random(beat_bytes)
    jobs = []
    for select in (0, 2, 1, 3, 2, 0):
        words = rng.randint(1, 40)
        length = words * sizes[select]
        raw = rng.randbytes(-(-length // beat_bytes) * beat_bytes)
        jobs.append((select, words, raw))
    counts = []

    async def bench(ctx):
        for select, words, raw in jobs:
            size = sizes[select]
            ctx.set(unit.select, select)
            sent = taken = cycles = 0
            while taken < words:
                offer = sent < len(raw) and rng.random() >= pauses
                beat = int.from_bytes(raw[sent : sent + beat_bytes], "little")
                ctx.set(unit.i.valid, offer)
                ctx.set(unit.i.payload, beat)
                ctx.set(unit.o.ready, rng.random() >= pauses)
                ctx.set(unit.last, taken == words - 1)
                if ctx.get(unit.o.valid) and ctx.get(unit.o.ready):
                    got = ctx.get(unit.o.payload.as_value()) & ((1 << 8 * size) - 1)
                    want = raw[taken * size : (taken + 1) * size]
                    assert got.to_bytes(size, "little") == want, f"word {taken} of {size} bytes"
                    taken += 1
                if offer and ctx.get(unit.i.ready):
                    sent += beat_bytes
                await ctx.tick()
                cycles += 1
                assert cycles < 5000
            ctx.set(unit.i.valid, 0)
            assert sent == len(raw), "the last beat was not used up"
            assert not ctx.get(unit.o.valid), "padding came out as a word"
            counts.append(cycles)

    simulate(unit, bench)
    assert len(counts) == len(jobs)
    if not pauses:
        for cycles, (select, words, raw) in zip(counts, jobs, strict=True):
            assert cycles == max(words, len(raw) // beat_bytes) + 1, f"{words} x {sizes[select]}"


def test_refuses_odd_sizes():
    with pytest.raises(ValueError, match="powers of two, got 24"):
        Gearbox(16, (24,))
