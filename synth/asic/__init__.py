"""Target ``asic``: mapping to cells of a real library, memories of macros, static timing."""
