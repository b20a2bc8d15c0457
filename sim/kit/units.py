"""One Verilator model per configuration with every unit side by side, for the unit benches."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path

from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import Flow, Member, Out

from hw.config import Config
from hw.lib.convert import to_verilog
from hw.lib.memory import VerilogTarget
from sim.kit.unit_points import SHARED
from sim.simulator.verilate import Simulator, verilate


def junk_memory() -> str:
    """Verilog of a memory that keeps the contract of `hw.lib.memory.Memory` and nothing beyond."""
    return Path(__file__).with_name("potvit_mem_junk.v").read_text(encoding="utf-8")


class SideBySide(wiring.Component):
    """Components whose ports are all ports of the top: member ``port`` of ``u`` is ``u__port``."""

    def __init__(self, parts: Mapping[str, wiring.Component]) -> None:
        self.parts = dict(parts)
        super().__init__({name: Out(part.signature) for name, part in self.parts.items()})

    def elaborate(self, platform: object) -> Module:
        """Wire each component's ports through."""
        m = Module()
        for name, part in self.parts.items():
            m.submodules[name] = part
            wiring.connect(m, wiring.flipped(getattr(self, name)), part)
        return m


def port_names(component: wiring.Component, prefix: str = "") -> list[str]:
    """Flattened Verilog port names of a component."""
    return [
        prefix + "__".join(str(p) for p in path)
        for path, member, _ in component.signature.flatten(component)
        if isinstance(member, Member) and member.flow in (Flow.In, Flow.Out)
    ]


def compile_parts(
    parts: Mapping[str, wiring.Component], toplevel: str, *, waves: bool = False
) -> Simulator:
    """Verilate ``parts`` side by side; cocotb sees ``clk``, ``rst`` and ``<part>__<port>``.

    Their memories answer junk to a read of the address that is being written (`junk_memory`).
    """
    top = SideBySide(parts)
    text = to_verilog(top, toplevel, VerilogTarget())
    sources = [("units.v", text), ("potvit_mem.v", junk_memory())]
    return verilate(sources, toplevel, ["clk", "rst", *port_names(top)], waves=waves)


def components(config: Config) -> dict[str, Callable[[], wiring.Component]]:
    """Every unit with a bench, by the prefix of its ports."""
    from hw.array.unit import ArrayUnit
    from hw.attention.unit import AttentionUnit
    from hw.dma.load_unit import LoadUnit
    from hw.dma.store_unit import StoreUnit
    from hw.norm.unit import NormUnit

    return {
        "array": lambda: ArrayUnit(config),
        "attn": lambda: AttentionUnit(config),
        "norm": lambda: NormUnit(config),
        "load": lambda: LoadUnit(config),
        "store": lambda: StoreUnit(config),
    }


@functools.cache
def units(config: Config, *only: str, waves: bool = False) -> Simulator:
    """The model of ``config`` for the benches of the units ``only`` (all without).

    Configurations of ``sim.kit.unit_points.SHARED`` are built once, with every unit, for all
    benches.
    """
    makers = components(config)
    wanted = makers if not only or config in SHARED else only
    parts = {name: makers[name]() for name in makers if name in wanted}
    return compile_parts(parts, "potvit_units", waves=waves)
