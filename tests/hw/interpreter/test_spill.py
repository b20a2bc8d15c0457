"""Networks whose tensors do not fit on chip: every tensor right, every order proven."""

from dataclasses import replace

import numpy as np
import pytest

from golden.execute.batched import Executor
from golden.execute.reference import run_reference
from golden.support.errors import PotvitError
from golden.synthetic.graphs import random_graph, random_image
from hw.compiler import compile_graph
from hw.config import preset
from hw.formats.memories import Space
from hw.interpreter import run_program, run_random_order
from hw.isa.instruction import INSTR_BYTES, Unit
from hw.isa.payload import Attend, Gather, Mem, Op, Scatter
from hw.program.regions import Region

SMALL = {"tokens": 17, "channels": 48, "heads": 3, "depth": 2, "patch": 4, "image_channels": 4,
         "hidden": 96}  # fmt: skip
STREAM = preset("tiny").change(name="stream", residual_words=120)
#: One row group of the stream at a time, tokens that do not fill their beats, three rows.
RAGGED = preset("tiny").change(
    name="ragged", residual_words=64, rows=3, axi_bytes=32, const_rows=128
)
ATTENTION = preset("tiny").change(name="attention", residual_words=200, act_words=190)
WIDE = {"channels": 96, "heads": 6}
#: All token tensors in DRAM, one or two row groups at a time; heads in two passes over the values.
STREAMED = preset("tiny").change(name="streamed", residual_words=120, act_words=110)
PASSES = preset("tiny").change(name="passes", head_lanes=8)
NARROW = preset("tiny").change(
    name="narrow", rows=3, axi_bytes=16, residual_words=110, act_words=110, head_lanes=8
)
ONE_HEAD = {"heads": 1, "channels": 40, "tokens": 26}


def counts(program):
    """Gathers of tokens into RESIDUAL and into ACT (patches of the image are none), scatters."""
    bodies = [i.body for i in program.instructions()]
    gathers = [b.mem for b in bodies if isinstance(b, Gather) and not b.flip]
    return gathers.count(Mem.RESIDUAL), gathers.count(Mem.ACT), sum(
        isinstance(b, Scatter) for b in bodies
    )  # fmt: skip


@pytest.mark.parametrize("checkpoints", [False, True])
@pytest.mark.parametrize(
    ("config", "options"),
    [
        (STREAM, {}),
        (STREAM, {"bits": 4, "channels": 44, "heads": 4, "depth": 1}),
        (RAGGED, {"channels": 40, "heads": 4, "tokens": 26, "depth": 1}),
        (ATTENTION, WIDE),
        (STREAMED, {}),
        (STREAMED, {"features": "all"}),
        (NARROW, ONE_HEAD),
    ],
    ids=["stream", "four_bit", "ragged", "attention", "streamed", "features", "narrow"],
)
def test_spilled_networks(config, options, checkpoints):
    graph = random_graph(**(SMALL | options))
    image = random_image(graph, 5)
    expected = run_reference(graph, image)
    program = compile_graph(graph, config, checkpoints=checkpoints)
    names = [graph.output, *(c.name for c in program.checkpoints)]
    assert len(names) == (1 + len(graph.stored()) if checkpoints else 1)
    residual, act, scatters = counts(program)
    assert residual >= 2
    assert scatters >= 3
    assert (act > 0) == (config in (ATTENTION, STREAMED, NARROW))
    for dram in (run_program(program, config, image), run_random_order(program, config, image, 1)):
        for name in names:
            assert np.array_equal(program.unpack(name, dram), expected[name]), name


@pytest.mark.parametrize(
    ("config", "options"),
    [(STREAM, {}), (STREAMED, {}), (ATTENTION, WIDE), (NARROW, ONE_HEAD)],
    ids=["stream", "streamed", "attention", "narrow"],
)
def test_two_pictures_of_a_spilled_network(config, options):
    """Homes in DRAM serve one picture after the other; so does the serial program."""
    graph = random_graph(**(SMALL | options | {"depth": 1}))
    images = [random_image(graph, seed) for seed in (1, 2)]
    expected = [run_reference(graph, image)["logits"] for image in images]
    both = compile_graph(graph, config, pictures=2)
    dram = run_program(both, config, np.stack(images))
    for want, layout in zip(expected, both.results, strict=True):
        assert np.array_equal(layout.unpack(dram), want)
    serial = compile_graph(graph, config, serial=True)
    assert np.array_equal(serial.logits.unpack(run_program(serial, config, images[0])), expected[0])
    assert both.cycles < 2 * serial.cycles


@pytest.mark.parametrize("dim", [16, 20])
def test_a_head_wider_than_the_shifters(dim):
    """Its values take two or three passes, of which the last may be narrower."""
    graph = random_graph(**(SMALL | {"depth": 1, "heads": 2, "channels": 2 * dim}))
    image = random_image(graph, 2)
    expected = run_reference(graph, image)
    for checkpoints in (False, True):
        program = compile_graph(graph, PASSES, checkpoints=checkpoints)
        bodies = [i.body for i in program.instructions()]
        passes = sum(isinstance(b, Attend) for b in bodies) / (2 * 9)
        assert passes == -(-dim // 8)
        dram = run_random_order(program, PASSES, image, 1)
        for name in ("logits", *(c.name for c in program.checkpoints)):
            assert np.array_equal(program.unpack(name, dram), expected[name]), name


@pytest.mark.slow
def test_a_block_of_deit_tiny_on_tiny():
    """197 tokens of 192 channels and heads of 64 through 16 KiB of ACT, every tensor right."""
    config = preset("tiny")
    graph = random_graph(tokens=197, channels=192, heads=3, depth=1, patch=16)
    image = random_image(graph, 3)
    expected = {n: v[0] for n, v in Executor(graph).trace(image[np.newaxis]).items()}
    program = compile_graph(graph, config, checkpoints=True)
    dram = run_program(program, config, image)
    for name in ("logits", *(c.name for c in program.checkpoints)):
        assert np.array_equal(program.unpack(name, dram), expected[name]), name
    assert program.utilisation > 0.8, "scores are repeated for each of four passes, no more"
    busy = sum(layer.array_busy for layer in program.layers)
    assert busy > 0.97 * program.cycles


@pytest.fixture(scope="module")
def spilled():
    graph = random_graph(**(SMALL | WIDE | {"depth": 1}))
    return compile_graph(graph, ATTENTION), random_image(graph, 1)


def test_what_is_spilled_stays_in_its_region(spilled):
    program, image = spilled
    before, after = program.dram(image), run_program(program, ATTENTION, image)
    changed = np.flatnonzero(before != after)
    spill, logits = program.regions[Region.SPILL], program.logits
    inside = (changed >= spill.offset) & (changed < spill.end)
    result = (changed >= logits.offset) & (changed < logits.offset + logits.nbytes)
    assert inside.sum() > 1000
    assert (inside | result).all()


def test_every_wait_of_a_gather_is_needed(spilled):
    """Without its wait for STORE, or for who used the words before, a race shows."""
    program, image = spilled
    removed = dict.fromkeys(Unit, 0)
    for number, instr in enumerate(program.instructions()):
        if instr.op is not Op.GATHER or removed[Unit.STORE] == 3:
            continue
        for unit in instr.waits:
            fewer = {u: n for u, n in instr.waits.items() if u is not unit}
            at = program.entry + number * INSTR_BYTES
            raw = replace(instr, waits=fewer).pack()
            image_bytes = program.image[:at] + raw + program.image[at + INSTR_BYTES :]
            broken = replace(program, image=image_bytes, accesses=())
            with pytest.raises(PotvitError, match=r"^race.* of (DRAM|RESIDUAL|ACT) unordered"):
                run_program(broken, ATTENTION, image)
            removed[unit] += 1
    assert removed[Unit.STORE] == 3
    assert sum(removed.values()) > 3


def test_a_window_one_byte_too_small_is_found(spilled):
    program, image = spilled
    end = program.regions[Region.SPILL].end
    used = max(a.hi for _, writes in program.accesses for a in writes if a.space is Space.DRAM)
    assert used * ATTENTION.axi_bytes > end
    with pytest.raises(PotvitError, match="outside the window"):
        run_program(replace(program, window=end - 1), ATTENTION, image)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"residual_words": 12}, r"buffer RESIDUAL .* lacks 48 bytes"),
        ({"residual_words": 120, "act_words": 47}, r"buffer ACT .* lacks 16 bytes"),
    ],
)
def test_a_network_that_fits_nowhere_is_refused(changes, match):
    graph = random_graph(**(SMALL | {"depth": 1}))
    with pytest.raises(PotvitError, match=match):
        compile_graph(graph, preset("tiny").change(**changes))
