"""Product count: every kind of chunk, two cycles later."""

import random

from hw.array.control.product_count import ProductCount
from hw.config import PRESETS

CONFIG = PRESETS["edge"]


def test_products_of_every_kind_of_chunk(simulate):
    unit = ProductCount(CONFIG)
    rng = random.Random(1)
    largest = 2 * CONFIG.macs
    got, want = [], []

    async def bench(ctx):
        k_last = w4 = 0
        for cycle in range(1000):
            begin, issue, last = (
                cycle == 0 or rng.random() < 0.1,
                rng.random() < 0.8,
                rng.random() < 0.5,
            )
            rows = rng.choice([0, 1, CONFIG.rows])
            cols = rng.choice([1, 7, CONFIG.cols])
            new_k, new_w4 = rng.choice([1, 3, CONFIG.lanes]), rng.randrange(2)
            new_k *= 1 + new_w4
            for port, value in (
                (unit.begin, begin), (unit.issue, issue and cycle > 0), (unit.last_chunk, last),
                (unit.rows, rows), (unit.cols, cols),
                (unit.depth.k_last, new_k), (unit.depth.w4, new_w4),
            ):  # fmt: skip
                ctx.set(port, value)
            depth = k_last if last else CONFIG.lanes * (1 + w4)
            want.append(rows * cols * depth if issue and cycle > 0 else 0)
            if begin:
                k_last, w4 = new_k, new_w4
            got.append(ctx.get(unit.macs))
            await ctx.tick()

    simulate(unit, bench)
    assert got[2:] == want[:-2]
    assert max(want) == largest
