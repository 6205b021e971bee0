"""Reinforcement learning from verifiable rewards, split by the sign of the reward, on verl's own trainer."""

__version__ = "0.1.0"
