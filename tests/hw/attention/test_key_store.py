import numpy as np
import pytest

from hw.attention.key_store import KeyStore


@pytest.mark.parametrize(
    ("rows", "bits", "together", "words"), [(2, 5, 1, 128), (3, 5, 4, 32), (1, 8, 2, 64)]
)
def test_one_group_is_read_while_the_next_is_written(simulate, rows, bits, together, words):
    rng = np.random.default_rng(4)
    groups = [rng.integers(0, 1 << bits, (int(k), rows)) for k in (33, 1, 20, 64, 2, 33)]
    dut = KeyStore(rows=rows, bits=bits, banks=together, words=words)
    compared = 0

    def write(ctx, key, codes):
        ctx.set(dut.put, 1)
        ctx.set(dut.values, codes[key].tolist())
        ctx.set(dut.last, key == len(codes) - 1)

    async def bench(ctx):
        nonlocal compared
        before = None
        for codes in [*groups, None]:
            reads = [] if before is None else list(range(-(-len(before) // together)))
            keys = 0 if codes is None else len(codes)
            for turn in range(max(keys, len(reads) + 1)):
                ctx.set(dut.put, 0)
                if turn < keys:
                    write(ctx, turn, codes)
                ctx.set(dut.read.en, turn < len(reads))
                ctx.set(dut.read.addr, min(turn, max(len(reads) - 1, 0)))
                ctx.set(dut.release, bool(reads) and turn == len(reads) - 1)
                held = list(ctx.get(dut.read.data))
                await ctx.tick()
                if turn >= len(reads) and turn:
                    assert list(ctx.get(dut.read.data)) == held  # it stays until the next read
                if turn < len(reads):
                    shown = np.array(list(ctx.get(dut.read.data))).reshape(rows, together)
                    want = before[turn * together :][:together].T
                    assert (shown[:, : want.shape[1]] == want).all()
                    compared += want.size
            ctx.set(dut.put, 0)
            before = codes

    simulate(dut, bench)
    assert compared == rows * sum(len(g) for g in groups)
