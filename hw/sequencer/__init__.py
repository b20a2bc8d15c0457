"""Fetch, dispatch, queues and semaphores."""
