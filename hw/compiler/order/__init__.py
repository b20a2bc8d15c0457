"""One order of all steps, and the semaphores that keep it."""
