"""One page on a run: performance, area and traffic beside published figures."""
