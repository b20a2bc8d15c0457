import random
from collections import Counter

import pytest

from hw.buffers.activation import ActivationBuffer
from hw.config import preset

POINTS = {
    "tiny": preset("tiny").change(act_words=32),  # Cn = K: half-word granules
    "wide": preset("tiny").change(act_words=37, cols=8, rows=3, head_lanes=16),  # Cn = 2K
}


@pytest.mark.parametrize("point", POINTS)
def test_random_traffic(simulate, point):
    """Every write lands where it should and nowhere else; only real conflicts wait."""
    config = POINTS[point]
    rng = random.Random(point)
    dut = ActivationBuffer(config)
    lanes, rows = config.lanes, config.rows
    # model[bank][half][word]: what was written last, None while undefined
    model = [[[None] * config.act_words for _ in range(2)] for _ in range(rows)]
    seen = Counter()

    def targets(source, payload):
        """(bank, half, word, bytes) of each half word that a write reaches."""
        data, addr = payload["data"], payload["addr"]
        if source == "attn":
            return [
                (b, h, addr, data[(2 * b + h) * lanes :][:lanes])
                for b in range(rows)
                for h in range(2)
            ]
        if source == "load" or (source == "drain" and config.cols == 2 * lanes):
            return [(payload["bank"], h, addr, data[h * lanes :][:lanes]) for h in range(2)]
        return [(payload["bank"], payload["half"], addr, data)]

    sizes = {
        "drain": config.cols,
        "attn": rows * 2 * lanes,
        "load": 2 * lanes,
        "norm": lanes,
    }
    ports = {name: getattr(dut, f"{name}_write") for name in sizes}

    def payload(source):
        bank = rng.randrange(rows)
        made = {"addr": rng.randrange(config.act_words)}
        if source != "attn":
            made["bank"] = bank
        if source in ("drain", "norm"):
            made["half"] = rng.randrange(2)
        return made | {"data": [rng.randrange(256) for _ in range(sizes[source])]}

    async def bench(ctx):
        waiting = {}
        for _ in range(1500):
            reading = rng.random() < 0.5
            read_at, store_at = rng.randrange(config.act_words), rng.randrange(config.act_words)
            ctx.set(dut.read.en, reading)
            ctx.set(dut.read.addr, read_at)
            ctx.set(dut.store_read.req.valid, 1)
            ctx.set(dut.store_read.req.payload, store_at)
            read_addr = read_at if reading else store_at
            taken = set()
            for source, port in ports.items():
                if source not in waiting and rng.random() < 0.4:
                    made = payload(source)
                    if made["addr"] != read_addr or source != "drain":
                        waiting[source] = made
                if source == "drain":
                    ctx.set(port.en, source in waiting)
                else:
                    # A read and a write of one address at a time never happen in the design.
                    free = source in waiting and waiting[source]["addr"] != read_addr
                    ctx.set(port.valid, free)
                if source in waiting:
                    ctx.set(port.payload, waiting[source])
            for source, port in ports.items():
                valid = ctx.get(port.en if source == "drain" else port.valid)
                if not valid:
                    continue
                reached = targets(source, waiting[source])
                conflict = any(t[:2] in taken for t in reached)
                ready = source == "drain" or bool(ctx.get(port.ready))
                assert ready == (not conflict), source
                seen[source, ready] += 1
                taken |= {t[:2] for t in reached}
                if ready:
                    for bank, half, word, data in reached:
                        model[bank][half][word] = data
                    del waiting[source]
            assert bool(ctx.get(dut.store_read.req.ready)) == (not reading)
            want = [
                byte for b in model for half in b for byte in (half[read_addr] or [None] * lanes)
            ]
            await ctx.tick()
            got = list(ctx.get(dut.read.data))
            stored = list(ctx.get(dut.store_read.data))
            for w, g, s in zip(want, got, stored, strict=True):
                if w is not None:
                    assert g % 256 == w == s
                    seen["bytes"] += 1

    simulate(dut, bench)
    assert seen["bytes"] > 5000
    for source in ("attn", "norm", "load"):
        assert seen[source, True] > 20
        assert seen[source, False] > 20
