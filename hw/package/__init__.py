"""The folder that drops into a hardware project: RTL, its descriptions, registers, driver."""
