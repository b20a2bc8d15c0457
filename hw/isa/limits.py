"""Limits and latencies of the RTL that software relies on and no field width states.

The RTL is built from these numbers; compiler, cycle model and interpreter read the same ones.
"""

from __future__ import annotations

from hw.isa.instruction import Unit

#: Bits of a semaphore: signals of one unit to another that may be outstanding.
SEMAPHORE_BITS = 10
SEMAPHORE_LIMIT = (1 << SEMAPHORE_BITS) - 1

#: Instructions of any unit that have started and not reported done.
MAX_IN_FLIGHT = 8

#: Loads whose bursts may be requested before the one in work has all its data.
LOAD_AHEAD = 2

#: Passes of attention that successive row groups go through, one in each.
ATTENTION_PASSES = 3

#: Instructions of a unit that may be under way together, as its own queues allow.
IN_FLIGHT = {
    Unit.LOAD: LOAD_AHEAD + 1,
    Unit.ARRAY: 5,  # the shortest ones are four cycles apart, and a drain takes 11 and one a row
    Unit.NORM: MAX_IN_FLIGHT,
    Unit.ATTN: ATTENTION_PASSES,
    Unit.STORE: MAX_IN_FLIGHT,
}

#: Least cycles from a tile's last chunk to the next one's.
MIN_TILE = 4

#: Cycles from a tile's last chunk to the next parameter read.
PARAM_GAP = 6

#: Right shifts of the sums that the array offers: what a format's 14 or 15 fraction bits need
#: where results are up to 64 times finer or 256 times coarser than the values. All 64 would cost
#: a third more in every lane's requantizer.
SHIFTS = range(8, 24)
