import pytest
from amaranth.hdl import Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden.support.errors import PotvitError
from hw.formats.memories import memory_bytes
from hw.lib.convert import to_verilog
from hw.lib.memory import Memory as HwMemory
from hw.lib.memory import VerilogTarget, memory_verilog
from synth.hierarchy import Memory, read_modules
from synth.units import PARTS, UNITS, memory_table, plan, unit_of


class Leaf(wiring.Component):
    def __init__(self, scale):
        self.scale = scale
        super().__init__({"a": In(signed(8)), "b": In(signed(8)), "y": Out(signed(16))})

    def elaborate(self, platform):
        m = Module()
        m.d.sync += self.y.eq(self.a * self.b + self.scale)
        return m


class Tree(wiring.Component):
    def __init__(self, scales):
        self.scales = scales
        super().__init__({"x": In(signed(8)), "y": Out(signed(16))})

    def elaborate(self, platform):
        m = Module()
        for i, scale in enumerate(self.scales):
            m.submodules[f"leaf_{i}"] = leaf = Leaf(scale)
            other = Signal(signed(8), name=f"signal_with_its_own_name_{i}")
            m.d.sync += other.eq(self.x)
            m.d.comb += [leaf.a.eq(self.x), leaf.b.eq(other)]
            m.d.sync += self.y.eq(leaf.y)
        m.submodules.ram = ram = HwMemory(16, 33)
        m.d.comb += [ram.rd_en.eq(1), ram.wr_data.eq(self.y)]
        return m


def modules_of(scales):
    return read_modules(to_verilog(Tree(scales), "top", VerilogTarget()) + memory_verilog())


def test_instances_of_the_same_design_share_a_digest_and_others_do_not():
    modules = modules_of([5, 5, 6])
    leaves = [modules[f"top.leaf_{i}"] for i in range(3)]
    assert leaves[0].text != leaves[1].text
    assert leaves[0].digest == leaves[1].digest
    assert leaves[0].digest != leaves[2].digest
    assert modules["top"].children[:3] == ["top.leaf_0", "top.leaf_1", "top.leaf_2"]


def test_a_parent_differs_when_its_child_does():
    assert modules_of([5])["top"].digest == modules_of([5])["top"].digest
    assert modules_of([5])["top"].digest != modules_of([6])["top"].digest


def test_memories_are_found_with_their_size():
    modules = modules_of([5])
    assert modules["top.ram"].memories == [Memory(width=16, depth=33)]
    assert modules["top.ram"].memories[0].bits == 528
    assert "potvit_mem_1r1w" not in modules


@pytest.fixture(scope="module")
def tiny():
    from hw.config import preset
    from hw.top.verilog import generate

    return preset("tiny"), generate(preset("tiny")).verilog


def test_every_module_of_a_design_is_counted_once(tiny):
    config, verilog_text = tiny
    modules = read_modules(verilog_text)
    parts = plan(modules)
    assert sum(part.instances * len(part.modules) for part in parts) == len(modules)
    pes = [part for part in parts if part.name == "pe"]
    assert sum(part.instances for part in pes) == config.rows * config.cols
    assert len(pes) == 2, "the last row and the others"
    assert {part.name for part in parts} == set(PARTS)


def test_memory_bits_are_those_of_the_buffers(tiny):
    config, verilog_text = tiny
    table = memory_table(plan(read_modules(verilog_text)))
    bits = {}
    for unit, memory, count in table:
        bits[unit] = bits.get(unit, 0) + memory.bits * count
    assert bits["activation_buffer"] == 8 * memory_bytes(config)["act"]
    assert bits["stream_buffer"] == 8 * memory_bytes(config)["stream"]
    assert bits["value_buffer"] == 8 * memory_bytes(config)["value"]
    assert bits["drain"] == 8 * memory_bytes(config)["gelu"]


def test_units_are_told_by_path():
    assert unit_of("potvit_tiny") == "top"
    assert unit_of("potvit_tiny.core.array.array.pe_3_15") == "pe"
    assert unit_of("potvit_tiny.core.array.array") == "pe_operands"
    assert unit_of("potvit_tiny.core.attn.writer") is None
    assert len(PARTS) == len(UNITS)


def test_unknown_unit_is_named_with_the_known_ones(tiny):
    with pytest.raises(PotvitError, match="unknown unit 'pee'; one of pe, pe_operands"):
        plan(read_modules(tiny[1]), "pee")
    with pytest.raises(PotvitError, match="this configuration has none"):
        plan({}, "pe")
