import random
from collections import Counter

import pytest

from hw.buffers.activation import ActivationBuffer
from hw.config import preset

POINTS = {
    f"{name}-{precision}": preset("tiny").change(precision=precision, **changes)
    for precision in ("w4a8", "w4a4")
    for name, changes in {
        "tiny": {"act_words": 32},  # Cn = K: half-word granules
        "wide": {"act_words": 37, "cols": 8, "rows": 3, "head_lanes": 16},  # Cn = 2K
    }.items()
}


class Model:
    """Contents of the buffer, and the random writes that its four sources ask for.

    ``halves[bank][half][word]`` are the bytes written last, None while undefined; ``waiting`` has
    the write of each source that has one, drain first as in the hardware.
    """

    sources = ("drain", "attn", "load", "norm")

    def __init__(self, config, rng):
        self.config, self.rng = config, rng
        self.halves = [[[None] * config.act_words for _ in range(2)] for _ in range(config.rows)]
        self.waiting = {}

    def ask(self, source):
        """A random write of ``source`` begins to wait."""
        config, rng = self.config, self.rng
        bank, addr = rng.randrange(config.rows), rng.randrange(config.act_words)
        made = {"addr": addr}
        if source != "attn":
            made["bank"] = bank
        if source in ("drain", "norm"):
            made["half"] = rng.randrange(2)
        size = {
            "drain": config.cols,
            "attn": config.rows * 2 * config.lanes,
            "load": 2 * config.lanes,
            "norm": config.lanes,
        }[source]
        self.waiting[source] = made | {"data": [rng.randrange(256) for _ in range(size)]}

    def targets(self, source):
        """(bank, half, word, bytes) of each half word that the source's write reaches."""
        payload, lanes = self.waiting[source], self.config.lanes
        data, addr = payload["data"], payload["addr"]
        if source == "attn":
            places = [(bank, half) for bank in range(self.config.rows) for half in range(2)]
        elif source == "load" or (source == "drain" and self.config.cols == 2 * lanes):
            places = [(payload["bank"], half) for half in range(2)]
        else:
            places = [(payload["bank"], payload["half"])]
        parts = [data[i * lanes :][:lanes] for i in range(len(places))]
        return [(*place, addr, part) for place, part in zip(places, parts, strict=True)]

    def write(self, source):
        """The source's write is done."""
        for bank, half, word, data in self.targets(source):
            self.halves[bank][half][word] = data
        del self.waiting[source]

    def word(self, addr):
        """The bytes of a word in all banks, None where undefined."""
        undefined = [None] * self.config.lanes
        return [byte for bank in self.halves for half in bank for byte in (half[addr] or undefined)]


def drive_reads(ctx, dut, model):
    """A read of the array in half of the cycles, one of STORE in all; the address read."""
    reading = model.rng.random() < 0.5
    read_at, store_at = (model.rng.randrange(model.config.act_words) for _ in range(2))
    ctx.set(dut.read.en, reading)
    ctx.set(dut.read.addr, read_at)
    if model.config.precision == "w4a4":
        ctx.set(dut.next.en, reading and read_at + 1 < model.config.act_words)
    ctx.set(dut.store_read.req.valid, 1)
    ctx.set(dut.store_read.req.payload, store_at)
    return reading, (read_at if reading else store_at)


def drive_writes(ctx, ports, model, read_addrs):
    """New writes at times; none of the addresses that are read, which the design never does."""
    for source, port in ports.items():
        if source not in model.waiting and model.rng.random() < 0.4:
            model.ask(source)
            if source == "drain" and model.waiting[source]["addr"] in read_addrs:
                del model.waiting[source]  # it cannot be held back
        waits = source in model.waiting
        if waits:
            ctx.set(port.payload, model.waiting[source])
        if source == "drain":
            ctx.set(port.en, waits)
        else:
            ctx.set(port.valid, waits and model.waiting[source]["addr"] not in read_addrs)


def take_writes(ctx, ports, model, seen):
    """Writes that are taken reach the model; one that is not has met an earlier source."""
    taken = set()
    for source, port in ports.items():
        if not ctx.get(port.en if source == "drain" else port.valid):
            continue
        reached = {target[:2] for target in model.targets(source)}
        ready = source == "drain" or bool(ctx.get(port.ready))
        assert ready == (not reached & taken), source
        seen[source, ready] += 1
        taken |= reached
        if ready:
            model.write(source)


@pytest.mark.parametrize("point", POINTS)
def test_random_traffic(simulate, point):
    """Every write lands where it should and nowhere else; only real conflicts wait."""
    config = POINTS[point]
    narrow = config.precision == "w4a4"
    dut, model, seen = ActivationBuffer(config), Model(config, random.Random(point)), Counter()
    ports = {source: getattr(dut, f"{source}_write") for source in Model.sources}

    async def bench(ctx):
        for _ in range(1500):
            reading, read_addr = drive_reads(ctx, dut, model)
            drive_writes(ctx, ports, model, (read_addr, read_addr + 1))
            take_writes(ctx, ports, model, seen)
            assert bool(ctx.get(dut.store_read.req.ready)) == (not reading)
            # The words that a write changes in this cycle are not the one that is read.
            want = model.word(read_addr)
            pair = narrow and reading and read_addr + 1 < config.act_words
            following = model.word(read_addr + 1) if pair else []
            await ctx.tick()
            for w, g in zip(following, ctx.get(dut.next.data) if pair else (), strict=True):
                assert w is None or g == w & 15
                seen["behind"] += w is not None
            for got in (ctx.get(dut.read.data), ctx.get(dut.store_read.data)):
                for w, g in zip(want, got, strict=True):
                    assert w is None or g % 256 == w
            seen["bytes"] += sum(w is not None for w in want)

    simulate(dut, bench)
    assert seen["bytes"] > 5000
    assert not narrow or seen["behind"] > 2000
    for source in ("attn", "norm", "load"):
        assert seen[source, True] > 20
        assert seen[source, False] > 20
