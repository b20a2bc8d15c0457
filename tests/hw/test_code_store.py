import numpy as np
import pytest

from hw.code_store import CodeStore
from hw.config import preset


@pytest.mark.parametrize("changes", [{}, {"head_lanes": 8}, {"head_lanes": 32, "rows": 3}])
def test_one_group_is_read_while_the_next_is_written(simulate, changes):
    config = preset("tiny").change(max_keys=33, **changes)
    together = config.keys_per_cycle
    rng = np.random.default_rng(4)
    groups = [rng.integers(0, 32, (int(k), config.rows)) for k in (33, 1, 20, 32, 2, 33)]
    dut = CodeStore(config)
    compared = 0

    def write(ctx, key, codes):
        ctx.set(dut.put, 1)
        ctx.set(dut.codes, codes[key].tolist())
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
                await ctx.tick()
                if turn < len(reads):
                    shown = np.array(list(ctx.get(dut.read.data))).reshape(config.rows, together)
                    want = before[turn * together :][:together].T
                    assert (shown[:, : want.shape[1]] == want).all()
                    compared += want.size
            ctx.set(dut.put, 0)
            before = codes

    simulate(dut, bench)
    assert compared == config.rows * sum(len(g) for g in groups)
