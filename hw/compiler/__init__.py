"""Compiler: integer graph and configuration to a program and its DRAM image.

Passes: ``network`` reads the graph, ``refuse`` checks it, ``allocate`` plans the memories,
``lower_*`` emit steps in array order through ``emitter``, ``merge`` places the loads, ``depend``
derives semaphores, ``cycles`` simulates, ``schedule`` orders, ``build`` drives all of it.
"""

from hw.compiler.build import compile_graph
from hw.compiler.program import Checkpoint, Layout, Program

__all__ = ["Checkpoint", "Layout", "Program", "compile_graph"]
