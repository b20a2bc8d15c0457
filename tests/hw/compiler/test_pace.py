"""The clock of bus and array that patch embedding chooses its order by."""

from hw.compiler.lower.pace import Pace
from hw.compiler.step import Demand, Step
from hw.config import preset
from hw.isa.payload import Gather, Load, Matmul, Mem

CONFIG = preset("base")


def demand(body):
    return Demand(step=Step(layer=0, body=body))


def constants(rows):
    beats = -(-rows * CONFIG.const_bytes // CONFIG.axi_bytes)
    return demand(Load(dest=Mem.CONST, words=rows, beats=beats))


def taker(rows, chunks):
    groups = rows // CONFIG.rows
    body = Matmul(chunks=chunks, groups=groups, tiles=1, rows_last=CONFIG.rows, const_old=True)
    return Step(layer=0, body=body)


def test_a_load_has_the_bus_for_its_beats_or_its_words():
    pace = Pace(CONFIG)
    assert pace.load(demand(Load(dest=Mem.STREAM, words=3, beats=12))) == 12
    short = Gather(seg_bytes=CONFIG.act_bytes, segs=7, rows=2, runs=1, beats=7)
    assert pace.load(demand(short)) == 14


def test_constants_leave_evenly_while_their_matmul_runs():
    rows, chunks = CONFIG.const_rows // 2, 100
    most = CONFIG.const_rows * 3 // 4
    pace = Pace(CONFIG)
    assert pace.takes(most)
    assert not pace.takes(most + 1)
    pace.work(taker(rows, chunks), constants(rows))
    assert pace.takes(most - rows)
    assert not pace.takes(most - rows + 1)
    # Half of the MATMUL's time later half of its rows have left, and then all.
    half = rows // CONFIG.rows * chunks // 2
    pace.load(demand(Load(dest=Mem.STREAM, words=1, beats=half)))
    assert pace.takes(most - rows // 2)
    assert not pace.takes(most - rows // 2 + 1)
    pace.load(demand(Load(dest=Mem.STREAM, words=1, beats=half)))
    assert pace.takes(most)


def test_work_waits_for_the_fifo():
    rows, most = CONFIG.const_rows // 2, CONFIG.const_rows * 3 // 4
    pace = Pace(CONFIG)
    for _ in range(2):
        pace.work(taker(rows, 100), constants(rows))
    # The second one's rows came when the first one's had left: more than its time later all have.
    pace.load(demand(Load(dest=Mem.STREAM, words=1, beats=rows // CONFIG.rows * 100)))
    assert pace.takes(most)


def test_the_array_runs_one_after_the_other():
    most = CONFIG.const_rows * 3 // 4
    pace = Pace(CONFIG)
    for _ in range(2):
        pace.work(taker(CONFIG.rows, 1000), constants(CONFIG.rows))
    for beats, empty in ((1100, False), (1100, True)):
        pace.load(demand(Load(dest=Mem.STREAM, words=1, beats=beats)))
        assert pace.takes(most) == empty
