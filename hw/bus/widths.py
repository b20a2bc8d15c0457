"""Widths of addresses, for hardware and for software that knows no Amaranth."""

#: Of the accelerator's own addresses.
ADDR_BITS = 40
#: Of the register slave's addresses.
LITE_ADDR_BITS = 12
