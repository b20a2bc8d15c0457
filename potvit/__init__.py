"""PoTViT as a library: the names below, each imported when it is first used.

``import potvit`` costs nothing; `docs/api.md` shows the names at work. Whatever is not listed here
is the project's own business and may change.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from golden.data.datasets import open_dataset as open_dataset
    from golden.evaluation.evaluate import evaluate as evaluate
    from golden.evaluation.ledger import ledger as ledger
    from golden.execute.batched import Executor as Executor
    from golden.execute.reference import run_reference as run_reference
    from golden.graph.bundle import load_bundle as load_bundle
    from golden.graph.bundle import save_bundle as save_bundle
    from golden.graph.ir import Graph as Graph
    from golden.models.load import load_model as load_model
    from golden.quant.bit_widths import bit_map as bit_map
    from golden.quant.build import quantize as quantize
    from golden.quant.options import QuantOptions as QuantOptions
    from golden.support.errors import PotvitError as PotvitError
    from hw.compiler.build import compile_graph as compile
    from hw.config import Config as Config
    from hw.config import preset as preset
    from hw.driver.driver import Driver as Driver
    from hw.driver.mapped import MappedPort as MappedPort
    from hw.interpreter.run import run_program as run_program
    from hw.program.file import load_program as load_program
    from hw.program.file import save_program as save_program
    from hw.program.program import Program as Program
    from hw.top.verilog import generate as generate_verilog
    from hw.top.verilog import write as write_verilog
    from sim.analysis.figures import figures as report
    from sim.system.served import Served as Served
    from sim.system.whole import simulate as simulate

#: Name to the module that has it, and its name there.
_PLACES = {
    "PotvitError": ("golden.support.errors", "PotvitError"),
    # networks
    "load_model": ("golden.models.load", "load_model"),
    "open_dataset": ("golden.data.datasets", "open_dataset"),
    "quantize": ("golden.quant.build", "quantize"),
    "QuantOptions": ("golden.quant.options", "QuantOptions"),
    "bit_map": ("golden.quant.bit_widths", "bit_map"),
    "Graph": ("golden.graph.ir", "Graph"),
    "Executor": ("golden.execute.batched", "Executor"),
    "run_reference": ("golden.execute.reference", "run_reference"),
    "load_bundle": ("golden.graph.bundle", "load_bundle"),
    "save_bundle": ("golden.graph.bundle", "save_bundle"),
    "evaluate": ("golden.evaluation.evaluate", "evaluate"),
    "ledger": ("golden.evaluation.ledger", "ledger"),
    # hardware
    "Config": ("hw.config", "Config"),
    "preset": ("hw.config", "preset"),
    "compile": ("hw.compiler.build", "compile_graph"),
    "Program": ("hw.program.program", "Program"),
    "load_program": ("hw.program.file", "load_program"),
    "save_program": ("hw.program.file", "save_program"),
    "run_program": ("hw.interpreter.run", "run_program"),
    "generate_verilog": ("hw.top.verilog", "generate"),
    "write_verilog": ("hw.top.verilog", "write"),
    "Driver": ("hw.driver.driver", "Driver"),
    "MappedPort": ("hw.driver.mapped", "MappedPort"),
    # networks in hardware
    "simulate": ("sim.system.whole", "simulate"),
    "report": ("sim.analysis.figures", "figures"),
    "Served": ("sim.system.served", "Served"),
}

__all__ = [
    "Config",
    "Driver",
    "Executor",
    "Graph",
    "MappedPort",
    "PotvitError",
    "Program",
    "QuantOptions",
    "Served",
    "bit_map",
    "compile",
    "evaluate",
    "generate_verilog",
    "ledger",
    "load_bundle",
    "load_model",
    "load_program",
    "open_dataset",
    "preset",
    "quantize",
    "report",
    "run_program",
    "run_reference",
    "save_bundle",
    "save_program",
    "simulate",
    "write_verilog",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'potvit' has no attribute {name!r}")
    module, found = _PLACES[name]
    try:
        value = getattr(importlib.import_module(module), found)
    except ModuleNotFoundError as error:
        from golden.support.packages import cure

        if (line := cure(error)) is None:
            raise
        raise ImportError(f"potvit.{name}: {line}", name=error.name) from None
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
