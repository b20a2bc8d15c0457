"""Compiler: integer graph and configuration to a program and its DRAM image.

Passes, one room each: ``frontend`` reads the graph and refuses what cannot run, ``plan`` decides
where tensors live, ``lower`` emits steps in array order, ``image`` lays out the bytes, ``order``
places the loads and derives semaphores, ``predict`` counts cycles, ``build`` drives all of it.
"""

from hw.compiler.build import compile_graph
from hw.program.program import Checkpoint, Layout, Program

__all__ = ["Checkpoint", "Layout", "Program", "compile_graph"]
