import random

import pytest

from hw.config import preset
from hw.isa.instruction import PAYLOAD, PAYLOAD_BITS, UNIT_OF, Instr, Op, Unit
from hw.isa.payload import NARROW_FIELDS, PAYLOADS, End
from hw.sequencer.sequencer import Sequencer, ops_of, queue_bits, used_bits

UNITS = len(Unit)
TINY = preset("tiny").change(precision="w4a4")


def random_program(rng, length):
    """Instructions whose waits are covered by earlier signals, so that none waits for ever."""
    count = dict.fromkeys(((p, c) for p in Unit for c in Unit), 0)
    program = []
    for n in range(length):
        op = rng.choice([op for op in Op if op is not Op.END])
        unit = UNIT_OF[op]
        waits = {p: rng.randint(0, min(3, count[p, unit])) for p in Unit}
        for p, k in waits.items():
            count[p, unit] -= k
        signals = frozenset(c for c in Unit if rng.random() < 0.4)
        for c in signals:
            count[unit, c] += 1
        fields = {name: rng.randrange(1 << width) for name, width in PAYLOAD[op]}
        waits = {p: k for p, k in waits.items() if k}
        body = PAYLOADS[op](**fields)
        program.append(Instr(body=body, waits=waits, signals=signals, tag=n % 256))
    return [*program, Instr(body=End())]


def words(program):
    return [int.from_bytes(i.pack(), "little") for i in program]


class Units:
    """Five units that take each instruction a random time, watched by a semaphore model."""

    def __init__(self, dut, program, rng):
        self.dut, self.rng = dut, rng
        mine = [i for i in program if i.op is not Op.END]
        self.todo = {u: [i for i in mine if UNIT_OF[i.op] is u] for u in Unit}
        self.working = {u: [] for u in Unit}
        self.signals = dict.fromkeys(((p, c) for p in Unit for c in Unit), 0)
        self.finished = 0

    def cycle(self, ctx):
        """Drive one cycle; the sequencer's outputs of this cycle are checked."""
        done = 0
        for u in Unit:
            port = self.dut.issue[u]
            ctx.set(port.instr.ready, len(self.working[u]) < 3 and self.rng.random() < 0.6)
            if self.working[u] and self.rng.random() < 0.2:
                done |= 1 << u
            ctx.set(port.done, done >> u & 1)
        for u in Unit:
            out = self.dut.issue[u].instr
            if ctx.get(out.valid) and ctx.get(out.ready):
                instr = self.todo[u].pop(0)
                payload = int.from_bytes(instr.pack(), "little") >> 64
                if len(ops_of(u)) > 1:
                    payload |= (instr.op in (Op.GATHER, Op.SCATTER)) << PAYLOAD_BITS - 1
                assert ctx.get(out.payload) == payload
                for p, k in instr.waits.items():
                    self.signals[p, u] -= k
                    assert self.signals[p, u] >= 0, f"{u.name} did not wait for {p.name}"
                self.working[u].append(instr)
        for u in Unit:
            if done >> u & 1:
                instr = self.working[u].pop(0)
                self.finished += 1
                for c in instr.signals:
                    self.signals[u, c] += 1


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_random_programs(simulate, seed):
    rng = random.Random(seed)
    program = random_program(rng, 150)
    dut = Sequencer(TINY)
    model = Units(dut, program, rng)
    dispatched = 0

    async def bench(ctx):
        nonlocal dispatched
        stream = words(program)
        at, finished = 0, False
        while not finished:
            ctx.set(dut.i.valid, at < len(stream) and rng.random() < 0.8)
            ctx.set(dut.i.payload, stream[min(at, len(stream) - 1)])
            model.cycle(ctx)
            assert not ctx.get(dut.illegal)
            assert not ctx.get(dut.overflow)
            finished = bool(ctx.get(dut.finished))
            dispatched += ctx.get(dut.dispatched)
            if finished:
                assert model.finished == len(program) - 1
            at += ctx.get(dut.i.valid) and ctx.get(dut.i.ready)
            await ctx.tick()

    simulate(dut, bench)
    assert dispatched == len(program)


def test_end_waits_for_a_busy_unit(simulate):
    dut = Sequencer(TINY)

    async def bench(ctx):
        ctx.set(dut.i.payload, words([Instr(body=End())])[0])
        ctx.set(dut.i.valid, 1)
        ctx.set(dut.issue[Unit.STORE].busy, 1)
        for _ in range(5):
            assert not ctx.get(dut.finished)
            await ctx.tick()
        ctx.set(dut.issue[Unit.STORE].busy, 0)
        assert ctx.get(dut.finished)

    simulate(dut, bench)


def _bad_words():
    good = words([Instr(body=PAYLOADS[op](), tag=7) for op in Op])
    for opcode in (0, *range(9, 16)):
        yield opcode | 7 << 56
    for word, op in zip(good, Op, strict=True):
        assert word & 15 == op
        yield word | 1 << 9  # reserved header bit
        yield word | 1 << 15
        if used_bits(op, TINY) < 192:
            yield word | 1 << 64 + used_bits(op, TINY)
            yield word | 1 << 255


@pytest.mark.parametrize("word", list(_bad_words()), ids=hex)
def test_illegal_instruction_is_not_dispatched(simulate, word):
    dut = Sequencer(TINY)

    async def bench(ctx):
        ctx.set(dut.i.payload, word)
        ctx.set(dut.i.valid, 1)
        assert not ctx.get(dut.illegal)
        assert not ctx.get(dut.finished)
        assert not ctx.get(dut.dispatched)
        await ctx.tick()
        for follower in words([Instr(body=PAYLOADS[op](), tag=9) for op in Op]):
            ctx.set(dut.i.payload, follower)
            assert ctx.get(dut.illegal)
            assert ctx.get(dut.illegal_tag) == word >> 56 & 0xFF
            assert not ctx.get(dut.i.ready)
            assert not ctx.get(dut.finished)
            await ctx.tick()
        for u in Unit:
            assert not ctx.get(dut.issue[u].instr.valid)

    simulate(dut, bench)


def test_program_without_end_is_illegal(simulate):
    dut = Sequencer(TINY)

    async def bench(ctx):
        assert not ctx.get(dut.illegal)
        ctx.set(dut.ended, 1)
        assert ctx.get(dut.illegal)

    simulate(dut, bench)


def test_fields_of_the_4x4_mode_are_illegal_without_it(simulate):
    config = TINY.change(precision="w4a8")
    for op, name in NARROW_FIELDS.items():
        assert used_bits(op, config) + 1 == used_bits(op, TINY)
        for set_ in (0, 1):
            dut = Sequencer(config)
            (word,) = words([Instr(body=PAYLOADS[op](**{name: set_}))])

            async def bench(ctx, dut=dut, word=word, set_=set_):
                ctx.set(dut.i.payload, word)
                ctx.set(dut.i.valid, 1)
                await ctx.tick()
                assert ctx.get(dut.illegal) == set_

            simulate(dut, bench)


def test_queues_hold_the_used_bits_only():
    assert queue_bits(Unit.LOAD, TINY) == used_bits(Op.GATHER, TINY) + 1
    assert queue_bits(Unit.STORE, TINY) == used_bits(Op.SCATTER, TINY) + 1
    assert queue_bits(Unit.NORM, TINY) == used_bits(Op.NORM, TINY) < 192
