"""Interpreter: a program's bytes on NumPy models of all memories, without any RTL.

It decodes what the accelerator would fetch, so it proves layout, addresses and ordering of the
compiler, and is the reference for what each instruction does.
"""

from hw.interpreter.run import run_program, run_random_order

__all__ = ["run_program", "run_random_order"]
