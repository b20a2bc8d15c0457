"""Hazards, semaphores, the weight ring and the cycle model on hand-made steps."""

import pytest

from golden.support.errors import PotvitError
from hw.compiler.order.depend import check_semaphores, order_units
from hw.compiler.order.merge import StreamRing
from hw.compiler.predict.cycles import predict
from hw.compiler.predict.timing import Timing
from hw.compiler.step import Demand, Step
from hw.config import preset
from hw.formats.memories import Access, Space
from hw.isa.instruction import Op, Unit
from hw.isa.payload import PAYLOADS, Mem
from hw.program.regions import Extent

CONFIG = preset("tiny")


def step(op, reads=(), writes=(), **fields):
    return Step(
        layer=0, body=PAYLOADS[op](**fields),
        reads=tuple(Access(*a) for a in reads), writes=tuple(Access(*a) for a in writes),
    )  # fmt: skip


def test_read_after_write_waits_once():
    steps = [
        step(Op.LOAD, writes=[(Space.STREAM, 0, 10)]),
        step(Op.MATMUL, reads=[(Space.STREAM, 5, 8)]),
        step(Op.MATMUL, reads=[(Space.STREAM, 0, 3)]),
    ]
    ordering = order_units(steps, CONFIG)
    assert ordering.waits == [[], [0], []]
    assert ordering.signals == [{Unit.ARRAY}, set(), set()]


def test_write_after_read_and_after_write():
    steps = [
        step(Op.MATMUL, reads=[(Space.STREAM, 0, 4)], writes=[(Space.ACT, 0, 4)]),
        step(Op.LOAD, writes=[(Space.STREAM, 3, 5)]),
        step(Op.NORM, writes=[(Space.ACT, 2, 3)]),
        step(Op.LOAD, writes=[(Space.STREAM, 5, 6)]),
    ]
    assert order_units(steps, CONFIG).waits == [[], [0], [0], []]


def test_array_reading_its_own_result_waits_for_its_drain():
    steps = [
        step(Op.MATMUL, writes=[(Space.ACT, 0, 4)]),
        step(Op.MATMUL, writes=[(Space.ACT, 0, 4)]),
        step(Op.MATMUL, reads=[(Space.ACT, 1, 2)]),
        step(Op.MATMUL, reads=[(Space.ACT, 1, 2)]),
    ]
    ordering = order_units(steps, CONFIG)
    assert ordering.waits == [[], [], [1], []]
    assert ordering.signals[1] == {Unit.ARRAY}


def test_implied_waits_are_dropped():
    steps = [
        step(Op.LOAD, writes=[(Space.STREAM, 0, 1)]),
        step(Op.MATMUL, reads=[(Space.STREAM, 0, 1)], writes=[(Space.RESIDUAL, 0, 1)]),
        step(Op.NORM, reads=[(Space.RESIDUAL, 0, 1)], writes=[(Space.ACT, 0, 1)]),
        step(Op.LOAD, writes=[(Space.NORM, 0, 1)]),
        step(Op.STORE, reads=[(Space.ACT, 0, 1), (Space.STREAM, 0, 1)]),
    ]
    assert order_units(steps, CONFIG).waits == [[], [0], [1], [], [2]]


def test_semaphore_overflow_is_refused():
    steps = []
    for word in range(1100):
        steps.append(step(Op.LOAD, writes=[(Space.ACT, word % 1024, word % 1024 + 1)]))
        steps.append(step(Op.STORE, reads=[(Space.ACT, word % 1024, word % 1024 + 1)]))
    ordering = order_units(steps, CONFIG)
    check_semaphores(list(range(len(steps))), steps, ordering, CONFIG)
    loads_first = sorted(range(2048), key=lambda n: n % 2) + list(range(2048, 2200))
    with pytest.raises(PotvitError, match="more than 1023 signals from LOAD to STORE"):
        check_semaphores(loads_first, steps, ordering, CONFIG)


def demand(words):
    return Demand(step=step(Op.LOAD), ring=True, words=words, users=1)


def test_ring_never_overlaps_live_words():
    ring, live = StreamRing(20, 20), []
    sizes = [7, 7, 5, 6, 9, 3, 20, 1, 19, 4, 4, 4, 4, 4, 4]
    for size in sizes:
        new = demand(size)
        while not ring.place(new):
            assert live, "an empty ring must take it"
            live.pop(0).users = 0
        assert 0 <= new.address <= 20 - size
        for old in live:
            assert new.address + size <= old.address or old.address + old.words <= new.address
        live.append(new)
    assert not StreamRing(20, 20).place(demand(21))


def test_a_ring_may_grow_over_the_keys_for_a_time():
    ring = StreamRing(10, 24)
    first, wide, narrow, next_ = demand(8), demand(14), demand(6), demand(7)
    assert ring.place(first)
    assert not ring.place(wide)
    assert ring.place(wide, beyond=True)
    assert (first.address, wide.address) == (0, 8)
    first.users = 0
    assert ring.place(narrow)  # behind the keys' words there is no room for it: it wraps
    assert narrow.address == 0
    wide.users = 0
    assert not ring.place(next_), "it would reach beyond the ring, and the ring's begin is taken"
    assert ring.place(next_, beyond=True)
    assert next_.address == 6


def matmul(**fields):
    return step(Op.MATMUL, chunks=8, groups=4, tiles=2, **fields)


def simulate(steps, **options):
    ordering = order_units(steps, CONFIG)
    order = list(range(len(steps)))
    return predict(steps, ordering, order, CONFIG, Timing(), queued=False, **options)


def test_array_time_is_tiles_and_parameters():
    run = simulate([matmul(), matmul(keep_params=1, shared_params=1)])
    first, second = run.issue_end
    assert first == 2 * (4 * 8 + CONFIG.param_words)
    assert second - first == 2 * 4 * 8


def test_constants_hold_array_and_load_together():
    """Rows beyond the FIFO wait for the array, the array waits for rows."""
    load = step(Op.LOAD, dest=Mem.CONST, words=200, beats=200, dram=0)
    taker = step(Op.MATMUL, chunks=50, groups=100, tiles=1, rows_last=2, const_old=1)
    later = step(Op.LOAD, dest=Mem.STREAM, words=1, beats=2, dram=0)
    run = simulate([load, taker, later])
    assert run.start[1] == 0
    assert run.issue_end[1] >= 100 * 50
    assert run.done[0] >= run.issue_end[1] - 50 * 40
    assert run.done[2] > run.done[0]


def test_deadlock_is_an_error_of_the_compiler():
    taker = step(Op.MATMUL, chunks=4, groups=1, tiles=1, rows_last=2, const_old=1)
    with pytest.raises(PotvitError, match="deadlocks"):
        simulate([taker])


def test_reads_of_dram_wait_for_the_store_that_wrote_it():
    dram = Extent(offset=640, size=640)
    steps = [
        step(Op.STORE, writes=[(Space.DRAM, 80, 90)]),
        step(Op.LOAD, reads=[(Space.DRAM, 0, 80)], writes=[(Space.STREAM, 0, 1)]),
        step(Op.LOAD, reads=[(Space.DRAM, 70, 81)], writes=[(Space.STREAM, 1, 2)]),
        step(Op.STORE, writes=[(Space.DRAM, 80, 81)]),
        step(Op.STORE, writes=[(Space.DRAM, 81, 82)]),
    ]
    assert order_units(steps, CONFIG, dram).waits == [[], [], [0], [2], []]


def test_writing_into_the_image_is_an_error_of_the_compiler():
    with pytest.raises(AssertionError, match="outside words"):
        order_units(
            [step(Op.STORE, writes=[(Space.DRAM, 79, 80)])], CONFIG, Extent(offset=640, size=8)
        )
