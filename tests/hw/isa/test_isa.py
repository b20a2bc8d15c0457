import random

import pytest

from hw.isa.instruction import HEADER, HEADER_BITS, PAYLOAD, PAYLOAD_BITS, UNIT_OF, Instr, Op, Unit
from hw.isa.layouts import header_layout, payload_layout
from hw.isa.payload import PAYLOADS, Load, Matmul, Mem, Store


def random_instr(rng, op):
    values = {name: rng.randrange(1 << width) for name, width in PAYLOAD[op]}
    for name in {"dest", "src", "mem"} & values.keys():
        values[name] = rng.choice([m for m in Mem if m < 1 << dict(PAYLOAD[op])[name]])
    return Instr(
        body=PAYLOADS[op].of(values),
        waits={u: n for u in Unit if (n := rng.randrange(256))},
        signals=frozenset(u for u in Unit if rng.random() < 0.5),
        tag=rng.randrange(256),
    )


@pytest.mark.parametrize("op", list(Op))
def test_pack_and_unpack(op):
    rng = random.Random(op)
    for _ in range(50):
        instr = random_instr(rng, op)
        raw = instr.pack()
        assert len(raw) == 32
        assert Instr.unpack(raw) == instr


@pytest.mark.parametrize("op", list(Op))
def test_the_hardware_sees_the_same_fields(op):
    instr = random_instr(random.Random(op), op)
    word = int.from_bytes(instr.pack(), "little")
    layouts = (header_layout(), 0, HEADER_BITS, HEADER), (
        payload_layout(op), HEADER_BITS, PAYLOAD_BITS, PAYLOAD[op],
    )  # fmt: skip
    want = instr.body.values() | {"opcode": op, "tag": instr.tag, "reserved": 0}
    want["signal"] = sum(1 << u for u in instr.signals)
    want |= {f"wait_{u.name.lower()}": instr.waits.get(u, 0) for u in Unit}
    for layout, start, bits, table in layouts:
        assert layout.size == bits
        for name, width in table:
            field = layout[name]
            assert field.width == width
            assert word >> start + field.offset & (1 << width) - 1 == want[name]


def test_what_does_not_fit_is_refused_by_name():
    with pytest.raises(ValueError, match="words = 65536 does not fit 16 bits"):
        Instr(body=Store(words=65536)).pack()
    with pytest.raises(ValueError, match="addr = -1 does not fit"):
        Instr(body=Load(addr=-1)).pack()
    with pytest.raises(TypeError, match="adr"):
        Load(adr=1)
    with pytest.raises(ValueError, match="wait_array = 256 does not fit 8 bits"):
        Instr(body=Load(), waits={Unit.ARRAY: 256}).pack()
    with pytest.raises(ValueError, match="15 is not a valid Op"):
        Instr.unpack(b"\x0f" + bytes(31))
    with pytest.raises(ValueError, match="9 is not a valid Mem"):
        Instr.unpack(Instr(body=Load(dest=9)).pack())


def test_fields_know_their_types():
    got = Instr.unpack(Instr(body=Matmul(dest=Mem.OUT, gelu=1, slot=3)).pack()).body
    assert got == Matmul(dest=Mem.OUT, gelu=True, slot=3)
    assert got.gelu is True
    assert got.dest is Mem.OUT
    assert Matmul.width("slot") == 8


def test_every_opcode_but_end_has_a_unit():
    assert set(UNIT_OF) == set(Op) - {Op.END}
    assert set(UNIT_OF.values()) == set(Unit)
