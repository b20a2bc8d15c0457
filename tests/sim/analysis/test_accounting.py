"""Trace and accounting: what the array did in every cycle, against counters and cycle model."""

import numpy as np
import pytest

from hw.config import preset
from hw.isa.instruction import INSTR_BYTES, UNIT_OF, Unit
from sim.analysis.accounting import CAUSES, CHUNK_CAUSES, STALL_COUNTERS
from sim.analysis.performance import performance
from sim.system.bundles import network
from sim.system.trace import DONE, RUN, START, instruction_times, last_run
from sim.system.whole import simulate

TINY = preset("tiny")


@pytest.fixture(scope="module", params=["w8a8", "w4a8"])
def traced(request):
    """A plain run of vit_digits on tiny: bits, program, answer and report."""
    net = network("vit_digits", request.param, "log2")
    samples = net.data.evaluation or net.data.calibration
    pictures = [samples[0].pixels(net.model.spec.preprocess)]
    outcome = simulate(net.graph, pictures, TINY, checkpoints=False)
    assert not outcome.failure
    program, answer = outcome.programs["plain"], outcome.of("plain")[0]
    return request.param, program, answer, performance(program, TINY, answer)


def test_the_cycle_model_agrees_on_every_layer(traced):
    _, program, answer, report = traced
    assert [x["name"] for x in report["layers"]] == [x.name for x in program.layers]
    for layer in report["layers"]:
        slack = 8  # a layer of 50 cycles may differ by a few
        assert abs(layer["cycles"] - layer["predicted"]) <= 0.02 * layer["cycles"] + slack, layer
    assert sum(x["cycles"] for x in report["layers"]) == answer["counters"]["cycles"]
    assert sum(x["macs"] for x in report["layers"]) == answer["counters"]["macs"]


def test_every_array_cycle_has_a_cause(traced):
    _, _, answer, report = traced
    counters, whole = answer["counters"], report["array_cycles"]
    assert whole["unaccounted"] == 0
    flat = [whole[c] for c in CAUSES if c != "waiting"] + list(whole["waiting"].values())
    assert all(x >= 0 for x in flat)
    assert sum(flat) == pytest.approx(counters["cycles"])
    # Per layer, from the trace alone, the same causes add up to the counters.
    for cause in CAUSES:
        traced_sum = sum(x["array"][cause] for x in report["layers"])
        if cause in CHUNK_CAUSES:
            assert traced_sum == pytest.approx(whole[cause], abs=0.1)
        elif cause == "waiting":
            assert traced_sum == counters["array_stall_no_instr"]
        else:
            assert traced_sum == counters[STALL_COUNTERS[cause]]
    assert all(x >= 0 for layer in report["layers"] for x in layer["array"].values())


def test_utilisation_says_its_peak(traced):
    bits, _, answer, report = traced
    cycles, macs = answer["counters"]["cycles"], answer["counters"]["macs"]
    peak = {"w8a8": 32, "w4a8": 64}[bits]
    assert report["peak_macs_per_cycle"] == peak
    assert report["array_utilisation"] == macs / (peak * cycles)
    assert report["macs_8x8"] + report["macs_8x4"] == macs
    weighted = (report["macs_8x8"] / 32 + report["macs_8x4"] / 64) / cycles
    assert report["precision_weighted_utilisation"] == pytest.approx(weighted)
    assert report["array_cycles"]["useful"] == pytest.approx(weighted * cycles)
    assert (report["macs_8x4"] > 0) == (bits == "w4a8")


def test_timeline(traced):
    _, _, answer, report = traced
    cycles, layers = answer["counters"]["cycles"], len(report["layers"])
    assert set(report["timeline"]) == {u.name.lower() for u in Unit}
    for unit, line in report["timeline"].items():
        assert line["start"], unit
        assert all(a < b <= cycles for a, b in zip(line["start"], line["end"], strict=True))
        assert line["start"] == sorted(line["start"])
        assert all(0 <= layer < layers for layer in line["layer"])


def test_traffic(traced):
    _, program, answer, report = traced
    counters, moved = answer["counters"], report["on_chip_bytes"]
    assert report["dram_bytes"] == {
        "read": counters["read_bytes"],
        "write": counters["write_bytes"],
    }
    chunks = sum(report["array_cycles"][c] for c in CHUNK_CAUSES)
    assert moved["act"]["read"] == pytest.approx(chunks * TINY.rows * TINY.act_bytes)
    fetched = program.count * INSTR_BYTES
    assert sum(x["dram_read"] for x in report["layers"]) == counters["read_bytes"] - fetched
    assert sum(x["dram_write"] for x in report["layers"]) == counters["write_bytes"]
    # What the stream buffer takes from DRAM and from the key drain, it holds and gives.
    assert 0 < moved["stream"]["write"] < moved["stream"]["read"]
    assert counters["read_bytes"] > moved["const"]["write"] + moved["gelu"]["write"] // TINY.cols
    distance, logit = moved["distance"], moved["logit"]
    assert distance["read"] == distance["write"] == logit["read"] * 17 // 20
    assert moved["code"]["read"] >= moved["code"]["write"] > 0
    assert moved["out"]["write"] == moved["out"]["read"] == 4 * TINY.cols * -(-10 // TINY.cols)


def test_tags_are_layers_and_starts_lie_before_ends(traced):
    _, program, answer, _ = traced
    events = np.array(answer["trace"])
    times = instruction_times(program, events)
    assert (times[:, 0] < times[:, 1]).all()
    instrs = program.instructions()[:-1]
    assert [i.tag for i in instrs] == [layer + 1 for _, layer, _, _ in program.timeline]
    waits = [UNIT_OF[i.op] for i in instrs]
    assert set(waits) == set(Unit)
    first = events[(events[:, 1] == Unit.ARRAY) & (events[:, 2] == START)][0]
    assert first[3] == 1
    events[np.flatnonzero(events[:, 1] == Unit.NORM)[0], 3] ^= 1
    with pytest.raises(AssertionError, match="NORM: tags differ"):
        instruction_times(program, events)


def test_a_run_without_a_trace_still_reports(traced):
    _, program, answer, _ = traced
    failed = {k: v for k, v in answer.items() if k != "trace"}
    assert performance(program, TINY, failed)["layers"] == []


def test_last_run_of_a_log(tmp_path):
    log = tmp_path / "trace.txt"
    lines = [(5, RUN, START, 0), (9, 1, START, 3), (20, 1, DONE, 3), (30, RUN, DONE, 0)]
    later = [(40, RUN, START, 0), (47, 2, START, 7), (49, 2, DONE, 7), (52, RUN, DONE, 0)]
    log.write_text(
        "".join(f"{a} {b} {c} {d}\n" for a, b, c, d in [*lines, *later, (60, RUN, START, 0)])
    )
    assert last_run(log).tolist() == [[6, 2, 0, 7], [8, 2, 1, 7], [11, RUN, 1, 0]]
    log.write_text("5 5 0 0\n6 0 0 1\n")
    with pytest.raises(AssertionError, match="no complete run"):
        last_run(log)
