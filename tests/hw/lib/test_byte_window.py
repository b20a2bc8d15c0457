"""Byte window: words of any length against byte strings, beats whole and in parts."""

import random

import pytest

from hw.lib.byte_window import ByteWindow

SHAPES = [(32, 16, 1), (8, 8, 1), (8, 8, 2), (16, 16, 4), (64, 4, 1)]


def lengths(rng, total, most):
    """Words that make up ``total`` bytes, long ones and single bytes."""
    while total:
        size = min(total, rng.choice([1, 2, most, most, most, rng.randint(1, most)]))
        yield size
        total -= size


@pytest.mark.parametrize(("beat", "word", "parts"), SHAPES)
@pytest.mark.parametrize("pauses", [0.0, 0.5])
def test_words_of_every_length_anywhere(simulate, beat, word, parts, pauses):
    unit = ByteWindow(beat, word, parts)
    rng = random.Random(beat + word + parts)
    part = beat // parts
    starts = set()

    async def bench(ctx):
        for _ in range(12 if beat > 16 else 25):
            raw = rng.randbytes(part * rng.randint(1, 9 * parts))
            used = rng.randint(1, len(raw))
            held, fed, at = b"", 0, 0
            for size in lengths(rng, used, word):
                last = at + size == used
                ctx.set(unit.size, size)
                ctx.set(unit.restart, last)
                for _ in range(200):
                    ctx.set(unit.beat, int.from_bytes(held.ljust(beat, b"\xaa"), "little"))
                    ctx.set(unit.held, len(held) // part)
                    ctx.set(unit.final, fed == len(raw))
                    taken = bool(ctx.get(unit.valid)) and rng.random() >= pauses
                    ctx.set(unit.step, taken)
                    if taken:
                        got = ctx.get(unit.word) & ((1 << 8 * size) - 1)
                        assert got.to_bytes(size, "little") == raw[at : at + size], f"byte {at}"
                        starts.add(at % beat)
                    if ctx.get(unit.freed):
                        held = b""
                    offer = rng.random() >= pauses
                    await ctx.tick()
                    ctx.set(unit.step, 0)
                    if offer and len(held) < beat and fed < len(raw):
                        held += raw[fed : fed + part]
                        fed += part
                    if taken:
                        break
                else:
                    pytest.fail(f"byte {at} of {len(raw)} never came")
                at += size

    simulate(unit, bench)
    assert len(starts) > beat // 2, "hardly any place in a beat was tried"


@pytest.mark.parametrize(("beat", "word", "parts"), SHAPES)
def test_bytes_that_never_come_are_not_shown(simulate, beat, word, parts):
    """A run that ends before its last word: everything else is there, that word is not."""
    unit = ByteWindow(beat, word, parts)
    part = beat // parts

    async def bench(ctx):
        ctx.set(unit.held, 1)
        ctx.set(unit.final, 1)
        ctx.set(unit.size, 1)
        ctx.set(unit.step, 1)
        for n in range(part):
            assert ctx.get(unit.valid), f"byte {n} is there"
            if ctx.get(unit.freed):
                await ctx.tick()
                ctx.set(unit.held, 0)
            else:
                await ctx.tick()
        for _ in range(3):
            assert not ctx.get(unit.valid)
            await ctx.tick()

    simulate(unit, bench)


@pytest.mark.parametrize(("beat", "word", "parts"), [(8, 16, 1), (24, 8, 1), (8, 8, 16)])
def test_sizes_that_do_not_fit_are_refused(beat, word, parts):
    with pytest.raises(ValueError, match=r"power|beats of"):
        ByteWindow(beat, word, parts)
