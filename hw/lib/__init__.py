"""Parts that any unit uses: memories, queues, rounding, ports."""
