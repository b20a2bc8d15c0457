"""The parts of the cycle model: FIFO, sequencer, and each unit's timing on hand-made steps."""

import pytest

from hw.compiler.order.depend import Ordering, order_units
from hw.compiler.predict.arrivals import Arrivals, Sequencer
from hw.compiler.predict.clock import UNKNOWN, Clock
from hw.compiler.predict.constants import ConstantFifo
from hw.compiler.predict.cycles import predict
from hw.compiler.predict.load import fifo_capacity
from hw.compiler.predict.ports import ReadPort
from hw.compiler.predict.timing import Timing
from hw.compiler.step import Step
from hw.config import preset
from hw.isa.instruction import INSTR_BYTES, Unit
from hw.isa.payload import Attend, Load, Matmul, Mem, Norm, Store
from hw.program.footprint import footprint

CONFIG, TIMING = preset("tiny"), Timing()


def steps_of(*bodies):
    return [Step(layer=0, body=body) for body in bodies]


def run(*bodies, config=CONFIG, queued=False):
    steps = steps_of(*bodies)
    order = list(range(len(steps)))
    return predict(steps, order_units(steps, config), order, config, TIMING, queued=queued)


def test_fifo_rows_wait_for_room():
    fifo = ConstantFifo(2)
    assert fifo.takes(2)
    assert not fifo.takes(3)
    assert not fifo.has(1)
    assert [fifo.push(5), fifo.push(5)] == [5, 6]  # one a cycle
    assert fifo.entered(2) == 6
    assert not fifo.takes(1)
    fifo.pop([10])
    assert fifo.takes(1)
    assert fifo.push(7) == 11
    assert fifo.has(2)
    assert not fifo.has(3)


def test_sequencer_sends_one_after_the_other_until_a_queue_is_full():
    config = CONFIG.change(queue_depth=1)
    beats = max(1, INSTR_BYTES // config.axi_bytes)
    norm, store = Norm(count=1, steps=1, channels=4), Store(src=Mem.OUT, words=1)
    clock = Clock()
    for step in steps_of(norm, norm, norm, store):
        clock.add(step, ())
    sequencer = Sequencer(clock, range(4), config, TIMING)
    sequencer.advance()
    first = TIMING.fetch + TIMING.dispatch
    # One runs and one waits in the queue; the third, and what is behind it, wait for a start.
    assert [sequencer.time(n) for n in range(4)] == [first, first + beats, UNKNOWN, UNKNOWN]
    clock.start[0] = 500
    sequencer.advance()
    assert sequencer.time(2) == 501 + TIMING.dispatch
    assert sequencer.time(3) == 501 + beats + TIMING.dispatch
    assert Arrivals(clock, range(4)).time(3) == 0


def test_norm_tokens_have_a_least_time():
    short = run(Norm(count=3, steps=1, channels=4))
    long = run(Norm(count=3, steps=50, channels=200))
    assert short.issue_end == (3 * TIMING.norm_token,)
    assert long.issue_end == (3 * 50,)
    assert long.done[0] - long.issue_end[0] == TIMING.norm
    # Sums of 2,048 channels have more bits than a root.
    wide = run(Norm(count=3, steps=1, channels=4), config=preset("base"))
    assert wide.issue_end == (3 * 22,)


def test_a_store_of_act_waits_for_the_array():
    """Rows without a pause leave none; chunks fewer than a drain's rows leave some."""
    port = ReadPort()
    port.taken(10, 30, 20)
    port.taken(30, 50, 10)
    assert port.read(0, 10) == 10
    assert port.read(5, 7) == 34  # five in front, two in every other cycle of the second run
    assert port.read(40, 5) == 50
    assert port.read(40, 6) == 51
    assert port.read(60, 3) == 63


@pytest.mark.parametrize("words", [2, 5])
def test_attention_hands_on_while_values_are_read(words):
    """Three row groups: each pass is held by the slowest of the three."""
    body = Attend(keys=40, d_words=words)
    made = run(*[body] * 3)
    sweep = words * (40 // CONFIG.keys_per_cycle + TIMING.sweep)
    assert made.issue_end[0] == 40 + TIMING.attend
    assert made.start[1] == made.issue_end[0]
    assert made.issue_end[2] == max(3 * made.issue_end[0], made.done[0] - TIMING.attend_end)
    apart = made.done[2] - made.done[1]
    assert apart == max(40 + max(TIMING.code, TIMING.attend), sweep)
    assert made.done[0] == 40 + TIMING.attend + 40 + TIMING.code + sweep + TIMING.attend_end


def test_stores_do_not_overlap():
    made = run(*[Store(src=Mem.OUT, words=4)] * 2)
    beats = footprint(Store(src=Mem.OUT, words=4), CONFIG).beats_out
    assert made.done == (beats + TIMING.write, 2 * (beats + TIMING.write))


def test_loads_run_ahead_as_far_as_bursts_are_outstanding():
    beats = 40 * CONFIG.burst_beats
    load = Load(dest=Mem.STREAM, words=beats, beats=beats)
    made = run(load, load)
    assert made.done[0] == TIMING.read + beats + TIMING.load
    assert made.issue_end[0] == TIMING.read + beats - CONFIG.outstanding * CONFIG.burst_beats
    assert made.done[1] - made.done[0] == beats, "no gap in the data"
    assert made.busy[Unit.LOAD] == 2 * beats


def test_waits_are_booked_on_the_unit_waited_for():
    steps = steps_of(
        Norm(count=1, steps=100, channels=400), Matmul(chunks=8, groups=1, tiles=1, keep_params=1)
    )
    waits = Ordering(waits=[[], [0]], signals=[{Unit.ARRAY}, set()])
    made = predict(steps, waits, [0, 1], CONFIG, TIMING, queued=False)
    assert made.waited == {(Unit.ARRAY, "norm"): made.done[0] + 1}
    assert made.start[1] == made.done[0] + 1
    assert made.cycles == made.done[1] + TIMING.finish


def test_an_empty_program_takes_no_time():
    assert run().cycles == 0


@pytest.mark.parametrize("queued", [False, True])
def test_a_held_load_is_as_fast_as_its_taker(queued):
    rows = 2 * CONFIG.const_rows
    groups = rows // CONFIG.rows
    beats = -(-rows * CONFIG.const_bytes // CONFIG.axi_bytes)
    load = Load(dest=Mem.CONST, words=rows, beats=beats)
    taker = Matmul(
        chunks=60, groups=groups, tiles=1, rows_last=CONFIG.rows, const_old=True, keep_params=True
    )
    made = run(load, taker, queued=queued)
    assert made.busy[Unit.ARRAY] == 60 * groups
    # The last row enters when the one a FIFO's depth before it has left.
    ahead = fifo_capacity(CONFIG, whole_bursts=not queued) / CONFIG.rows * 60
    assert made.issue_end[1] - made.done[0] == pytest.approx(ahead, abs=60)
