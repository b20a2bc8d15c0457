"""From layers to steps."""
