"""Operators as parameter objects: ``.compute()`` in exact integers, ``.create()`` in hardware."""

from golden.ops.gelu import Gelu
from golden.ops.layernorm import LayerNorm
from golden.ops.pool import TokenPool
from golden.ops.psmac import MacMode, PsMac
from golden.ops.requantize import Requantize
from golden.ops.residual import ResidualAdd
from golden.ops.rounding import rshr, saturate
from golden.ops.shift_attention import ShiftAttention
from golden.ops.softmax import AttnFormat, CodeRule, ExpForm, LogIntSoftmax
from golden.ops.window_scores import WindowScores
from golden.ops.windows import PatchMerge, Windows

__all__ = [
    "AttnFormat",
    "CodeRule",
    "ExpForm",
    "Gelu",
    "LayerNorm",
    "LogIntSoftmax",
    "MacMode",
    "PatchMerge",
    "PsMac",
    "Requantize",
    "ResidualAdd",
    "ShiftAttention",
    "TokenPool",
    "WindowScores",
    "Windows",
    "rshr",
    "saturate",
]
