"""A language model small enough to be trained by reinforcement learning on a laptop's CPU.

Qwen2 architecture, byte-level tokenizer, supervised on Countdown demonstrations of which a part is wrong, so that it
solves every problem sometimes and no problem always: a base that reinforcement learning can move either way.
"""
