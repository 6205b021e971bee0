"""Formulas compared by value, in a worker process only."""
