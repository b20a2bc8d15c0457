"""Counters and their names come from one layout."""

from amaranth.hdl import Fragment
from amaranth.lib import data

from hw.config import preset
from hw.isa.instruction import Unit
from hw.top.accelerator import Potvit
from hw.top.events import counter_widths, event_layout


def test_names_are_paths_in_the_order_of_the_bits():
    stalls = {u: data.StructLayout({"no_instr": 1, f"cause_{u.name.lower()}": 1}) for u in Unit}
    layout = event_layout(preset("tiny"), 7, stalls)
    widths = counter_widths(layout)
    assert sum(widths.values()) == layout.size
    assert list(widths)[:4] == ["macs", "instructions", "read_bytes", "write_bytes"]
    assert widths["macs"] == 7
    for u in Unit:
        assert widths[f"{u.name.lower()}_stall_cause_{u.name.lower()}"] == 1
    of_norm = [name for name in widths if name.startswith("norm_")]
    assert of_norm == [
        "norm_busy", "norm_stall_no_instr", "norm_stall_cause_norm", "norm_wait_load",
        "norm_wait_array", "norm_wait_attn", "norm_wait_store", "norm_starved",
    ]  # fmt: skip


def test_every_counter_has_its_register():
    top = Potvit(preset("tiny"))
    Fragment.get(top, None)
    assert top.counters == ("cycles", *counter_widths(top.core.events.shape()))
    names = {r.name for r in top.map}
    assert {f"COUNT_{n.upper()}_LO" for n in top.counters} <= names
    inc = top.totals.inc
    assert list(inc.shape().members) == list(top.counters)
