"""Tile record: sizes at hand, and a record that stays until the next tile is finished."""

import random

from hw.array.control.tile_record import RESULTS, TileRecord
from hw.array.tile import DRAIN_FIELDS
from hw.config import PRESETS

CONFIG = PRESETS["tiny"]


def test_sizes_and_records(simulate):
    unit = TileRecord(CONFIG)
    rng = random.Random(1)
    kinds = set()

    async def bench(ctx):
        fields, record = None, None
        for cycle in range(2000):
            places = {
                n: rng.randrange(2) for n in ("g_first", "g_last", "t_first", "t_last", "last")
            }
            for port, name in (
                (unit.group.first, "g_first"), (unit.group.last, "g_last"),
                (unit.tile.first, "t_first"), (unit.tile.last, "t_last"), (unit.last, "last"),
            ):  # fmt: skip
                ctx.set(port, places[name])
            new = {name: rng.randrange(1 << RESULTS[name].width) for name, _ in RESULTS}
            new |= {
                "rows_last": rng.randint(1, CONFIG.rows),
                "cols_last": rng.randint(1, CONFIG.cols),
            }
            begin = cycle == 0 or rng.random() < 0.2
            finish = cycle > 0 and rng.random() < 0.5
            ctx.set(unit.begin, begin)
            ctx.set(unit.finish, finish)
            for name, value in new.items():
                ctx.set(unit.results[name], value)
            if fields:
                rows = fields["rows_last"] if places["g_last"] else CONFIG.rows
                cols = fields["cols_last"] if places["t_last"] else CONFIG.cols
                assert (ctx.get(unit.rows), ctx.get(unit.cols)) == (rows, cols)
                assert ctx.get(unit.zero_row) == (fields["zero_first"] and places["g_first"])
            if record:
                assert {name: ctx.get(unit.record[name]) for name in record} == record
            await ctx.tick()
            if finish:
                record = {name: fields[name] for name in DRAIN_FIELDS} | {
                    "rows": rows,
                    "cols": cols,
                    "instr_first": places["g_first"] & places["t_first"],
                    "instr_last": places["last"],
                    "group_first": places["g_first"],
                    "tile_first": places["t_first"],
                    "tile_last": places["t_last"],
                }
                kinds.add((rows, cols))
            if begin:
                fields = new

    simulate(unit, bench)
    assert len(kinds) > 4
