"""Answers to the problems of reasoning-gym, scored by its own scorers in worker processes."""
