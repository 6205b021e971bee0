"""Where the test rewards are, as verl wants it."""

from pathlib import Path

REWARDS = Path(__file__).with_name("rewards.py")
