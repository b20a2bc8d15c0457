"""Token runs against the formulas of docs/homes.md, walked word by word: the slow oracle."""

import numpy as np
import pytest

from golden.support.errors import PotvitError
from hw.config import preset
from hw.formats.memories import Access, Space
from hw.interpreter.execute import Executor
from hw.isa.instruction import Instr
from hw.isa.payload import Gather, Mem, Scatter
from hw.program.footprint import footprint

CONFIGS = {
    "tiny": preset("tiny"),
    "base": preset("base"),
    "three": preset("tiny").change(rows=3, axi_bytes=32, const_rows=128),
}


def walk(f, config):
    """(DRAM byte, bank, word, byte of the word) of every byte of a run, one by one."""
    banks = config.rows if f.mem is Mem.ACT else 1
    width = config.act_bytes if f.mem is Mem.ACT else config.cols
    for run in range(f.runs):
        byte = f.dram + run * f.pitch
        for row in range(f.rows):
            line = run * f.rows + row
            z = f.bank + line * f.line_bank
            for s in range(f.segs):
                t = z % banks + s
                word = f.addr + line * f.line_addr + (z // banks + t // banks) * f.stride
                for b in range(f.seg_bytes):
                    yield byte, t % banks, word + b // width, b % width
                    byte += 1


def random_run(rng, config, mem):
    """A legal run whose segments do not meet."""
    banks = config.rows if mem is Mem.ACT else 1
    width = config.act_bytes if mem is Mem.ACT else config.cols
    seg = int(rng.integers(1, 4 * width))
    if mem is Mem.RESIDUAL:
        seg = int(rng.integers(1, 4)) * config.cols
    words = -(-seg // width)
    segs, rows, runs = (int(rng.integers(1, n)) for n in (8, 4, 4))
    beats = -(-rows * segs * seg // config.axi_bytes)
    lines = rows * runs
    stride = words * lines
    return {
        "mem": mem, "addr": int(rng.integers(0, 5)), "stride": stride,
        "bank": int(rng.integers(banks)), "line_bank": 0, "line_addr": words,
        "seg_bytes": seg, "segs": segs, "rows": rows, "runs": runs, "beats": beats,
        "pitch": (beats + int(rng.integers(0, 3))) * config.axi_bytes,
        "dram": int(rng.integers(0, 4)) * config.axi_bytes,
    }  # fmt: skip


@pytest.mark.parametrize("name", list(CONFIGS))
@pytest.mark.parametrize("mem", [Mem.ACT, Mem.RESIDUAL])
def test_gather_moves_every_byte_to_its_place(name, mem):
    config = CONFIGS[name]
    rng = np.random.default_rng(7)
    moved = 0
    for trial in range(25):
        f = Gather(**random_run(rng, config, mem) | {"flip": mem is Mem.ACT and trial % 2 == 0})
        dram = rng.integers(0, 256, 1 << 14).astype(np.uint8)
        executor = Executor(config, dram)
        executor.begin(Instr(body=f))()
        got = executor.memories.data[Space(mem)]
        want = got.copy()
        touched = set()
        for byte, bank, word, at in walk(f, config):
            place = (word, bank, at) if mem is Mem.ACT else (word, at)
            want[place] = (dram[byte] ^ (0x80 if f.flip else 0)).astype(np.int8)
            touched.add((word, bank))
            moved += 1
        assert np.array_equal(got, want)
        width = want.shape[-1]
        used = {(w, b, a) for _, b, w, a in walk(f, config)}
        for word, bank in touched:  # what is behind a segment is zero
            row = got[word, bank] if mem is Mem.ACT else got[word]
            assert all(row[a] == 0 for a in range(width) if (word, bank, a) not in used)
        declared = footprint(f, config)
        words = [w for w, _ in touched]
        assert declared.writes == (Access(Space(mem), min(words), max(words) + 1),)
        assert declared.words_in == len(touched)
    assert moved > 1000


def test_windows_and_native_words():
    """A window of 3 x 3 tokens of a map 5 wide, in banks that do not divide it."""
    config = CONFIGS["three"]
    size = 2 * config.act_bytes
    pitch = 5 * -(-size // config.axi_bytes) * config.axi_bytes
    f = Gather(
        mem=Mem.ACT, addr=3, stride=2, bank=0, line_bank=0, line_addr=2, seg_bytes=size, segs=3,
        rows=1, runs=3, beats=-(-3 * size // config.axi_bytes), pitch=pitch, dram=0,
    )  # fmt: skip
    dram = np.random.default_rng(0).integers(0, 256, 1 << 14).astype(np.uint8)
    executor = Executor(config, dram)
    executor.begin(Instr(body=f))()
    act = executor.memories.data[Space.ACT].view(np.uint8)
    for y in range(3):
        for x in range(3):
            token = 3 * y + x
            want = dram[y * pitch + x * size :][:size]
            words = act[3 + token // 3 * 2 :, token % 3][:2].reshape(-1)
            assert np.array_equal(words, want)


@pytest.mark.parametrize("name", list(CONFIGS))
def test_scatter_is_the_mirror(name):
    config = CONFIGS[name]
    rng = np.random.default_rng(3)
    for _ in range(15):
        fields = random_run(rng, config, Mem.RESIDUAL)
        dram = np.full(1 << 14, 0x55, np.uint8)
        executor = Executor(config, dram)
        memory = executor.memories.data[Space.RESIDUAL]
        memory[...] = rng.integers(-128, 128, memory.shape)
        f = Scatter(**fields)
        executor.begin(Instr(body=f))()
        want = np.full(1 << 14, 0x55, np.uint8)
        for run in range(f.runs):
            at = f.dram + run * f.pitch
            want[at : at + f.beats * config.axi_bytes] = 0
        for byte, _, word, at in walk(f, config):
            want[byte] = memory[word, at].astype(np.uint8)
        assert np.array_equal(dram, want)
        back = Executor(config, dram)
        back.begin(Instr(body=Gather(**fields)))()
        for _, _, word, at in walk(f, config):
            assert back.memories.data[Space.RESIDUAL][word, at] == memory[word, at]


GOOD = {
    "mem": Mem.RESIDUAL, "stride": 2, "seg_bytes": 8, "segs": 4, "rows": 1, "runs": 2, "beats": 4,
    "pitch": 64,
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"segs": 0}, "an empty run"),
        ({"beats": 3}, "a run of 32 bytes, 3 beats"),
        ({"pitch": 60}, "pitch 60"),
        ({"dram": 4}, "not at a beat"),
        ({"dram": 1 << 20}, "outside the window"),
        ({"bank": 1}, "bank 1 of 1"),
        ({"mem": Mem.ACT, "line_bank": 2}, "bank 2 of 2"),
        ({"addr": 1023}, "illegal address"),
        ({"mem": Mem.VALUE}, "GATHER into VALUE"),
    ],
)
def test_illegal_runs_are_refused(changes, reason):
    executor = Executor(preset("tiny"), np.zeros(1 << 12, np.uint8))
    executor.begin(Instr(body=Gather(**GOOD)))()
    with pytest.raises(PotvitError, match=reason):
        executor.begin(Instr(body=Gather(**GOOD | changes)))()


@pytest.mark.parametrize("changes", [{"flip": True}, {"seg_bytes": 6}, {"mem": Mem.ACT}])
def test_scatter_takes_whole_words_of_residual(changes):
    executor = Executor(preset("tiny"), np.zeros(1 << 12, np.uint8))
    executor.begin(Instr(body=Scatter(**GOOD)))()
    with pytest.raises(PotvitError, match="illegal address: SCATTER"):
        executor.begin(Instr(body=Scatter(**GOOD | changes)))
