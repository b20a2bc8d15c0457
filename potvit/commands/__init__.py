"""Commands that join the packages."""
