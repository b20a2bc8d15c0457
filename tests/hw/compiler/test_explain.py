"""What the compiler says about its own choices, against the program it made."""

import numpy as np
import pytest

from golden.synthetic.graphs import random_graph
from hw.compiler import compile_graph
from hw.config import preset
from hw.formats.memories import Space
from hw.isa.instruction import INSTR_BYTES
from hw.program.footprint import footprint
from hw.program.regions import Region

SMALL = {"tokens": 17, "channels": 48, "heads": 3, "depth": 1, "patch": 4, "image_channels": 4,
         "hidden": 96}  # fmt: skip
TINY = preset("tiny")
SPILLED = TINY.change(name="spilled", residual_words=120)
STREAMED = TINY.change(name="streamed", residual_words=120, act_words=110)


@pytest.fixture(scope="module")
def graph():
    return random_graph(**SMALL)


@pytest.mark.parametrize("config", [TINY, SPILLED, STREAMED], ids=lambda c: c.name)
def test_traffic_is_what_the_instructions_move(graph, config):
    program = compile_graph(graph, config)
    beat = config.axi_bytes
    made = [footprint(i.body, config) for i in program.instructions()]
    moved = sum(m.beats_in + m.beats_out for m in made) * beat
    assert program.dram_bytes == moved + program.count * INSTR_BYTES
    # The least: every beat of the parameters once, everything else as it is.
    end = program.regions[Region.PARAMETERS].end
    loads = [a for m in made for a in m.reads if a.space is Space.DRAM and a.lo * beat < end]
    repeated = sum(a.hi - a.lo for a in loads) * beat
    touched = np.zeros(end // beat + 1, bool)
    for a in loads:
        touched[a.lo : a.hi] = True
    once = program.dram_bytes - repeated + touched.sum() * beat
    assert once <= program.dram_bytes_least <= once + 4096  # gaps between sections
    assert (program.regions[Region.SPILL].size > 0) == (config is not TINY)


def test_reasons_name_the_homes(graph):
    here, there = compile_graph(graph, TINY).reasons, compile_graph(graph, SPILLED).reasons
    assert any(line.endswith("48 bytes: RESIDUAL") for line in here)
    assert any("DRAM (RESIDUAL holds 10 tokens)" in line for line in there)
    streams = compile_graph(graph, STREAMED).reasons
    assert any(line.startswith("outputs of LayerNorm") and "DRAM" in line for line in streams)
    assert "lacks" in streams[0]
    assert "streamed: " in streams[0]
    assert not any(line.startswith("outputs of LayerNorm") for line in (*here, *there))
    assert "1: buffer RESIDUAL" not in there[0]
    assert "cycles" in there[0]
    for lines in (here, there):
        assert any("of the bus" in line for line in lines)


def test_weights_that_fit_the_ring_come_once(graph):
    """Whatever the number of token blocks; where they do not fit, once for each."""
    for config, once in ((TINY, True), (TINY.change(name="narrow", stream_words=300), False)):
        program = compile_graph(graph, config, blocks=3)
        assert (program.dram_bytes <= program.dram_bytes_least) == once
