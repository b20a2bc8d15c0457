"""Fuzzed programs are what their kind says, follow from seed and number, and vary."""

import json
from dataclasses import asdict

import pytest

from golden.synthetic.graphs import random_graph
from hw.compiler import compile_graph
from hw.config import PRESETS
from hw.isa.instruction import INSTR_BYTES
from hw.isa.payload import Op
from sim.fuzz.campaign import SHAPES
from sim.fuzz.case import Case
from sim.fuzz.corrupt import KINDS, make_case

CONFIG = PRESETS["tiny"]
DRAM = 64 << 20
COUNT = 40 * len(KINDS)


@pytest.fixture(scope="module")
def program():
    return compile_graph(random_graph(seed=3, **SHAPES[0]), CONFIG)


@pytest.fixture(scope="module")
def cases(program):
    return [case(program, number) for number in range(COUNT)]


def case(program, number, seed=1):
    return make_case(program, CONFIG, seed=seed, number=number, memory_bytes=DRAM)


def valid(program):
    at = program.entry
    return program.image[at : at + program.count * INSTR_BYTES].hex()


@pytest.mark.parametrize("shape", SHAPES)
def test_every_batch_has_a_valid_program(shape):
    """Whose cases are changed in as many ways as those of the others."""
    found = compile_graph(random_graph(seed=1, **shape), CONFIG)
    assert {Op.LOAD, Op.GATHER, Op.MATMUL, Op.NORM, Op.ATTEND, Op.STORE} <= {
        instr.op for instr in found.instructions()
    }
    for number in range(len(KINDS)):
        assert 0 < len(case(found, number).program) <= len(valid(found))


def test_a_case_follows_from_seed_and_number(program):
    assert case(program, 5) == case(program, 5)
    assert case(program, 5) != case(program, 5, seed=2)
    assert case(program, 5).program != case(program, 5 + len(KINDS)).program


def test_a_case_travels_as_json(cases):
    assert Case(**json.loads(json.dumps(asdict(cases[7])))) == cases[7]


def test_every_kind_takes_its_turn(cases):
    assert [c.kind for c in cases[: len(KINDS)]] == list(KINDS)


def test_programs_differ_from_the_valid_one_where_their_kind_says(program, cases):
    for found in cases:
        same = found.program == valid(program)
        if found.kind in ("data", "place"):
            assert same
        if found.kind in ("random", "invented"):
            assert not same
        assert (found.noise >= 0) == (found.kind == "data")
        assert 0 < len(found.program) <= len(valid(program))
    changed = [c for c in cases if c.kind in ("fields", "headers", "bits", "order")]
    assert sum(c.program != valid(program) for c in changed) > 0.9 * len(changed)


def test_what_a_run_may_touch_is_its_window_or_nothing(program, cases):
    empty = 0
    for found in cases:
        assert found.window % CONFIG.axi_bytes == 0
        assert found.window + program.window <= DRAM
        legal = not found.base % CONFIG.axi_bytes and found.base + found.size <= 1 << 40
        assert found.allowed == (found.size if legal else 0)
        if legal:
            assert found.base == found.window
            assert found.window + found.allowed <= DRAM
        empty += not legal
    assert empty


def test_surroundings_vary(cases):
    assert len({c.window for c in cases}) > COUNT / 2
    for name, most in (("watchdog", 2), ("stall_rate", 3), ("fault", 3)):
        assert len({getattr(c, name) for c in cases}) == most
    aborted = sum(c.abort_after > 0 for c in cases)
    assert 0 < aborted < COUNT / 4
