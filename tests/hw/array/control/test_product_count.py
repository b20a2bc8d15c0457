"""Product count: every kind of chunk, two cycles later."""

import random

import pytest

from golden.ops.psmac import MacMode
from hw.array.control.product_count import ProductCount
from hw.config import PRESETS
from hw.precision import Precision

CONFIG = PRESETS["edge"].change(precision="w4a4")
WIDE = CONFIG.change(name="wide", lanes=16, cols=16)  # 64 inputs: a field of 0


@pytest.mark.parametrize("config", [CONFIG, WIDE, CONFIG.change(precision="w4a8")])
def test_products_of_every_kind_of_chunk(simulate, config):
    unit = ProductCount(config)
    rng = random.Random(1)
    narrow = config.precision is Precision.W4A4
    got, want = [], []

    async def bench(ctx):
        k_last, mode = 0, MacMode.W8
        for cycle in range(1000):
            begin, issue, last = (
                cycle == 0 or rng.random() < 0.1,
                rng.random() < 0.8,
                rng.random() < 0.5,
            )
            rows = rng.choice([0, 1, config.rows])
            cols = rng.choice([1, 7, config.cols])
            new_mode = rng.choice(config.precision.modes)
            new_k = rng.choice([1, 3, config.lanes]) * new_mode.products
            for port, value in (
                (unit.begin, begin), (unit.issue, issue and cycle > 0), (unit.last_chunk, last),
                (unit.rows, rows), (unit.cols, cols),
                (unit.depth.k_last, new_k % 64), (unit.depth.w4, new_mode is not MacMode.W8),
            ):  # fmt: skip
                ctx.set(port, value)
            if narrow:
                ctx.set(unit.depth.x4, new_mode is MacMode.W4A4)
            depth = k_last if last else config.lanes * mode.products
            want.append(rows * cols * depth if issue and cycle > 0 else 0)
            if begin:
                k_last, mode = new_k, new_mode
            got.append(ctx.get(unit.macs))
            await ctx.tick()

    simulate(unit, bench)
    assert got[2:] == want[:-2]
    assert max(want) == config.most_macs == (4 if narrow else 2) * config.macs
