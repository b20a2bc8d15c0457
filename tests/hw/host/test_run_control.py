import pytest

from hw.host.ports import SEQUENCER
from hw.host.register_map import Error
from hw.host.run_control import DRAIN_CYCLES, Control


def run(simulate, bench):
    dut = Control()

    async def bound(ctx):
        ctx.set(dut.quiet, 1)
        for u in range(SEQUENCER + 1):
            ctx.set(dut.tag[u], 10 + u)
        await bench(ctx, dut)

    simulate(dut, bound)


async def pulse(ctx, signal):
    ctx.set(signal, 1)
    await ctx.tick()
    ctx.set(signal, 0)


async def begins(ctx, dut):
    """Start, and wait for the first cycle of the run."""
    await pulse(ctx, dut.start)
    for _ in range(2):
        assert ctx.get(dut.busy)
        assert not ctx.get(dut.running)
        await ctx.tick()
    assert ctx.get(dut.running)


async def ends(ctx, dut, limit=10):
    """Wait for the event that ends the run: ("done" or "error", core was reset)."""
    for _ in range(limit):
        events = ctx.get(dut.done_event), ctx.get(dut.error_event)
        if any(events):
            assert ctx.get(dut.core_reset)
            assert ctx.get(dut.stop)
            await ctx.tick()
            assert not ctx.get(dut.busy)
            assert not ctx.get(dut.core_reset)
            return events
        assert not ctx.get(dut.core_reset)
        await ctx.tick()
    raise AssertionError("no end")


def test_a_run(simulate):
    async def bench(ctx, dut):
        assert not ctx.get(dut.busy)
        ctx.set(dut.start, 1)
        assert ctx.get(dut.take)
        await ctx.tick()
        ctx.set(dut.start, 0)
        assert not ctx.get(dut.take)
        await ctx.tick()
        assert ctx.get(dut.begin)
        await ctx.tick()
        for _ in range(7):
            assert ctx.get(dut.running)
            assert not ctx.get(dut.begin)
            await ctx.tick()
        ctx.set(dut.finished, 1)
        assert ctx.get(dut.running), "the cycle of END counts"
        await ctx.tick()
        assert not ctx.get(dut.running)
        assert await ends(ctx, dut) == (1, 0)
        assert ctx.get(dut.done)
        assert not ctx.get(dut.error)

    run(simulate, bench)


@pytest.mark.parametrize("error", [1, 2, 3, 4, 5, 7])
@pytest.mark.parametrize("source", [0, 3, SEQUENCER])
def test_faults(simulate, error, source):
    async def bench(ctx, dut):
        await begins(ctx, dut)
        await ctx.tick()
        ctx.set(dut.quiet, 0)
        ctx.set(dut.faults[error], 1 << source)
        await ctx.tick()
        ctx.set(dut.faults[error], 0)
        ctx.set(dut.faults[1], 1)  # a later error does not replace the first
        for _ in range(5):
            assert ctx.get(dut.stop)
            assert ctx.get(dut.busy)
            assert not ctx.get(dut.core_reset)
            await ctx.tick()
        ctx.set(dut.faults[1], 0)
        ctx.set(dut.quiet, 1)
        assert await ends(ctx, dut) == (0, 1)
        assert (ctx.get(dut.error), ctx.get(dut.done)) == (1, 0)
        assert ctx.get(dut.report.code) == error
        assert ctx.get(dut.report.unit) == source
        assert ctx.get(dut.report.tag) == 10 + source
        # The next run starts clean, and what the last one ended with is kept.
        await begins(ctx, dut)
        assert (ctx.get(dut.error), ctx.get(dut.report.code), ctx.get(dut.report.tag)) == (0, 0, 0)
        last = ctx.get(dut.last_report)
        assert (last.code, last.unit, last.tag) == (error, source, 10 + source)

    run(simulate, bench)


def test_watchdog_counts_cycles(simulate):
    async def bench(ctx, dut):
        ctx.set(dut.watchdog, 20)
        await begins(ctx, dut)
        for _ in range(20):
            assert ctx.get(dut.running)
            await ctx.tick()
        assert not ctx.get(dut.running)
        assert await ends(ctx, dut) == (0, 1)
        assert (ctx.get(dut.report.code), ctx.get(dut.report.unit)) == (Error.WATCHDOG, SEQUENCER)
        ctx.set(dut.watchdog, 0)
        await begins(ctx, dut)
        for _ in range(100):
            assert ctx.get(dut.running)
            await ctx.tick()

    run(simulate, bench)


@pytest.mark.parametrize("lowered", [1, 20, 49])
def test_a_watchdog_lowered_below_the_elapsed_cycles_fires_at_once(simulate, lowered):
    async def bench(ctx, dut):
        ctx.set(dut.watchdog, 1000)
        await begins(ctx, dut)
        for _ in range(50):
            await ctx.tick()
        assert ctx.get(dut.running)
        ctx.set(dut.watchdog, lowered)
        await ctx.tick()
        assert await ends(ctx, dut) == (0, 1)
        assert ctx.get(dut.report.code) == Error.WATCHDOG

    run(simulate, bench)


@pytest.mark.parametrize(
    ("verdict", "error"),
    [("illegal_window", Error.ILLEGAL_WINDOW), ("illegal_program", Error.ILLEGAL_PROGRAM)],
)
def test_an_illegal_place_is_refused_before_the_first_cycle(simulate, verdict, error):
    async def bench(ctx, dut):
        ctx.set(getattr(dut, verdict), 1)
        await pulse(ctx, dut.start)
        for _ in range(10):
            assert not ctx.get(dut.begin)
            assert not ctx.get(dut.running)
            if ctx.get(dut.core_reset):
                break
            await ctx.tick()
        assert await ends(ctx, dut) == (0, 1)
        assert (ctx.get(dut.report.code), ctx.get(dut.report.unit)) == (error, SEQUENCER)
        ctx.set(getattr(dut, verdict), 0)
        await begins(ctx, dut)

    run(simulate, bench)


@pytest.mark.parametrize("late", [0, 1, 2, 9])
def test_abort_and_start_in_one_write(simulate, late):
    """The run that goes on ends with error 8, which stays readable; the next one begins."""

    async def bench(ctx, dut):
        await pulse(ctx, dut.start)
        for _ in range(late):
            await ctx.tick()
        ctx.set(dut.abort, 1)
        await pulse(ctx, dut.start)
        ctx.set(dut.abort, 0)
        assert await ends(ctx, dut) == (0, 1)
        assert ctx.get(dut.report.code) == Error.ABORTED
        assert ctx.get(dut.take)
        for _ in range(4):
            await ctx.tick()
        assert ctx.get(dut.running)
        assert (ctx.get(dut.error), ctx.get(dut.report.code)) == (0, 0)
        last = ctx.get(dut.last_report)
        assert (last.code, last.unit) == (Error.ABORTED, SEQUENCER)

    run(simulate, bench)


def test_abort_and_start_while_idle_starts(simulate):
    async def bench(ctx, dut):
        ctx.set(dut.abort, 1)
        await pulse(ctx, dut.start)
        ctx.set(dut.abort, 0)
        for _ in range(10):
            await ctx.tick()
        assert ctx.get(dut.running)

    run(simulate, bench)


def test_abort(simulate):
    async def bench(ctx, dut):
        await pulse(ctx, dut.abort)
        assert not ctx.get(dut.busy), "nothing to abort"
        await begins(ctx, dut)
        await pulse(ctx, dut.abort)
        assert await ends(ctx, dut) == (0, 1)
        assert ctx.get(dut.report.code) == Error.ABORTED

    run(simulate, bench)


def test_early_start_is_remembered(simulate):
    async def bench(ctx, dut):
        await begins(ctx, dut)
        ctx.set(dut.quiet, 0)
        await pulse(ctx, dut.abort)
        await pulse(ctx, dut.start)
        ctx.set(dut.quiet, 1)
        for _ in range(10):
            if ctx.get(dut.begin):
                break
            await ctx.tick()
        assert ctx.get(dut.begin)
        await ctx.tick()
        assert ctx.get(dut.running)
        await pulse(ctx, dut.finished)
        assert await ends(ctx, dut) == (1, 0)
        assert not ctx.get(dut.begin), "once only"

    run(simulate, bench)


def test_a_dead_bus_ends_in_stuck(simulate):
    async def bench(ctx, dut):
        await begins(ctx, dut)
        ctx.set(dut.quiet, 0)
        await pulse(ctx, dut.abort)
        assert await ends(ctx, dut, DRAIN_CYCLES + 5) == (0, 1)
        assert ctx.get(dut.stuck)
        assert ctx.get(dut.report.code) == Error.ABORTED

    run(simulate, bench)
