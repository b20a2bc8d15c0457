"""Limits of the instruction set that no field width states."""

#: Signals of one unit to another that may be outstanding.
SEMAPHORE_LIMIT = 1023

#: Right shifts of the sums that the array offers: what a format's 14 or 15 fraction bits need
#: where results are up to 64 times finer or 256 times coarser than the values. All 64 would cost
#: a third more in every lane's requantizer.
SHIFTS = range(8, 24)
