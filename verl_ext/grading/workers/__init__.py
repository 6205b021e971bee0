"""Processes that compare formulas under limits of time and memory, and what their callers keep of it."""
