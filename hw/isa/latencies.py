"""Cycles of the RTL's stages: pipelines are as long as they say, and the cycle model adds them up.

A latency counts clock edges from the cycle in which something is at a stage's input to the cycle in
which its result shows. Where a pipeline may be held, only edges at which it moves count.
"""

from __future__ import annotations

from golden.ops.layernorm import ROOT_BITS

#: A memory: address to word.
READ = 1

#: MATMUL: a chunk's words to the accumulators with its products, of which a tile's last leave.
ACCUMULATE = 3
#: A tile's accumulators to its first row at the drain; one more row a cycle.
ROW = 1
#: A row at the drain to the end of its instruction, if it is the last.
DRAIN = 6

#: ATTEND, summing pass: start to the first key's logits, without waits.
LOGIT_FEED = 1 + READ
#: A logit to its distance from the row's maximum.
DISTANCE = 1
#: An exponential to the row's sum with it.
ROW_SUM = 2
#: A logit to the sum of exponentials with it.
SUM = DISTANCE + ROW_SUM

#: ATTEND, coding pass: a distance to its exponential.
EXPONENTIAL = 1
#: An exponential to the code.
CODE_SELECT = 2
#: A distance to its code.
CODE = EXPONENTIAL + CODE_SELECT

#: ATTEND, value pass: keys that are read to the sums with them, and these to a result.
SHIFT_ADD = 2
#: Cycles between the last keys of a sweep and the first of the next.
SWEEP_GAP = 1

#: NORM: cycles of one reciprocal root (two to align, a bit each and one to round, one to hand on).
ROOT = 2 + ROOT_BITS + 1 + 1
#: A step of channels to its results.
NORMALISE = 6
