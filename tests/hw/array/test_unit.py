"""ARRAY unit against the golden operators: see sim/benches/array.py."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from golden.graph import ir
from hw.array.unit import ArrayUnit
from hw.config import PRESETS, Config, Multiplier
from hw.isa.instruction import Mem
from hw.precision import Precision
from sim.benches.array_layers import layer_cases
from sim.benches.array_model import Array, Case
from sim.benches.array_programs import DESTS, Program, mixed
from sim.kit.unit_points import ODD
from sim.kit.units import compile_parts, units
from sim.simulator.runner import run
from sim.simulator.verilate import Simulator

Quantized = Callable[..., tuple[ir.Graph, Array]]
TINY, EDGE, BASE = (c.change(precision=Precision.W4A4) for c in PRESETS.values())
PACKED = ODD.change(name="packed", precision=Precision.W4A8, multiplier=Multiplier.DSP27X18)
QUICK = [pytest.param(c, id=c.name) for c in (TINY, ODD, PACKED)]
SLOW = [
    pytest.param(c, id=c.name, marks=pytest.mark.slow)
    for c in (
        EDGE,
        BASE,
        TINY.change(name="words-of-half-a-channel", rows=5, lanes=2, cols=2, head_lanes=8),
        TINY.change(name="four-parameter-words", rows=2, lanes=2, cols=4, head_lanes=8),
        EDGE.change(name="seven-rows", rows=7, lanes=8, cols=16),
        EDGE.change(name="wide", rows=3, lanes=16, cols=16, stream_words=1024),
        EDGE.change(name="tall", rows=32, lanes=4, cols=8, act_words=2048),
    )
]


def play(cases: list[Case], folder: Path, simulator: Simulator | None = None) -> None:
    path = folder / "cases.pickle"
    path.write_bytes(pickle.dumps(cases))
    simulator = simulator or units(cases[0].memories.config, "array")
    assert run(simulator, "sim.benches.array", env={"POTVIT_CASES": str(path)}) == ["matmul"]


@pytest.mark.parametrize("config", QUICK + SLOW)
def test_every_destination(config: Config, tmp_path: Path) -> None:
    cases = []
    for dest in DESTS:
        program = Program(config, seed=int(dest))
        for _ in range(5):
            program.add(dest)
        cases.append(program.case(name=dest.name))
    play(cases, tmp_path)


@pytest.mark.parametrize("config", QUICK + SLOW)
def test_mixed_programs_with_pauses(config: Config, tmp_path: Path) -> None:
    cases = [
        mixed(config, seed, 30).case(
            name=f"instructions {instr}, constants {const}", instr_pause=instr, const_pause=const
        )
        for seed, (instr, const) in enumerate([(0.0, 0.0), (0.7, 0.3), (0.1, 0.95)])
    ]
    play(cases, tmp_path)


@pytest.mark.parametrize("config", QUICK + SLOW)
def test_no_cycle_is_lost(config: Config, tmp_path: Path) -> None:
    """Tiles, row groups and instructions follow one another at the documented rate."""
    program = Program(config, seed=9)
    for i in range(30):
        program.add(DESTS[i % 4], keep_params=int(i > 0 and i % 5 == 0), const_old=0)
    play([program.case(name="timing", timing=True)], tmp_path)


X4 = {"w4": 1, "x4": 1}
FAULTS = {
    "activation address": {"a_addr": 1020, "a_stride": 8, "groups": 3, "chunks": 4},
    "weight address": {"w_addr": 1020, "chunks": 6},
    "weight stride": {"w_stride": 4000, "tiles": 20},
    "parameter address": {"p_addr": 60000},
    "destination": {"d_addr": 2048},
    "destination stride": {"d_addr": 2040, "d_step": 63, "tiles": 2},
    "word behind the last activations": {"a_addr": 1023, "chunks": 1, "groups": 1, **X4},
    "word behind the last weights": {"w_addr": 1023, "chunks": 1, "tiles": 1, **X4},
    "activations of 4 bits, weights of 8": {"x4": 1},
    "no chunks": {"chunks": 0},
    "no tiles": {"tiles": 0},
    "too many rows": {"rows_last": 63},
    "no rows": {"rows_last": 0},
    "too many columns": {"cols_last": 63},
    "unknown destination": {"dest": 6},
    "key lane": {"dest": int(Mem.STREAM), "sub": 60, "d_addr": 600},
    "value part": {"dest": int(Mem.VALUE), "sub": 60, "d_addr": 0},
    "maximum slot": {"dest": int(Mem.LOGIT), "slot": 200, "d_addr": 0, "group_outer": 1},
    "token": {"dest": int(Mem.RESIDUAL), "token": 1000, "d_addr": 0},
}


def test_faults(tmp_path: Path) -> None:
    """An address or field out of range is reported, and a reset later the next case runs."""
    cases = []
    for name, fields in FAULTS.items():
        program = Program(TINY, seed=1)
        program.add(Mem.ACT, w4=0)
        program.instrs = [program.instrs[0] | fields]
        cases.append(program.case(name=name, faults=True))
    program = Program(TINY, seed=2)
    program.add(Mem.ACT)
    play([*cases, program.case(name="afterwards")], tmp_path)


@pytest.mark.slow
def test_without_8x4_mode(tmp_path: Path) -> None:
    """Hardware that has only 8x8 mode: the same results, and a fault for 8x4 instructions."""
    config = TINY.change(name="eight-bit", precision=Precision.W8A8)
    program = Program(config, seed=4)
    for dest in DESTS * 3:
        program.add(dest, w4=0)
    other = Program(config, seed=5)
    other.add(Mem.ACT, w4=1)
    play([program.case(name="8x8"), other.case(name="8x4", faults=True)], tmp_path)


@pytest.mark.parametrize("bits", ["w8a8", "w4a8", "w4a4"])
@pytest.mark.parametrize(
    ("model", "config"),
    [
        pytest.param("vit_digits", TINY, id="vit_digits-tiny"),
        pytest.param("deit_tiny", ODD, id="deit_tiny-odd"),
        pytest.param("deit_tiny", BASE, id="deit_tiny-base", marks=pytest.mark.slow),
    ],
)
def test_network_layers(
    model: str, config: Config, bits: str, quantized: Quantized, tmp_path: Path
) -> None:
    """Real weights and tensors: every kind of layer of the first, a middle and the last block."""
    graph, pixels = quantized(model, bits)
    play(layer_cases(graph, pixels, config), tmp_path)


@pytest.mark.parametrize(
    ("constant", "value", "symptom"),
    [
        # Parameters fetched while the previous tile still drains with its own.
        ("hw.array.control.pace.PARAM_GAP", 1, "mixed: .*got"),
        pytest.param("hw.array.mac.pe_array.ZERO", 0, "mixed: .*got", marks=pytest.mark.slow),
        pytest.param(
            "hw.array.mac.pe_array.ZERO_NIBBLE", 0, "mixed: .*got", marks=pytest.mark.slow
        ),
        # Masked keys marked by a value that unmasked ones take too.
        pytest.param(
            "hw.array.drain.pipeline.MASKED", -127, "mixed: logit", marks=pytest.mark.slow
        ),
        pytest.param("hw.array.drain.row_max.LOWEST", 0, "mixed: maxima", marks=pytest.mark.slow),
        pytest.param("hw.array.drain.rows.PART_BITS", 1, "mixed: value", marks=pytest.mark.slow),
        # Results handed over while the next tile's record is already there.
        pytest.param("hw.array.control.pace.MIN_TILE", 1, "mixed: ", marks=pytest.mark.slow),
    ],
)
def test_a_fault_in_the_hardware_is_caught(
    constant: str, value: int, symptom: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cases = [mixed(TINY, seed, 30).case(name="mixed") for seed in range(2)]
    monkeypatch.setattr(constant, value)
    simulator = compile_parts({"array": ArrayUnit(TINY)}, "potvit_units")
    with pytest.raises(AssertionError, match=symptom):
        play(cases, tmp_path, simulator)
