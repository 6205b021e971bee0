"""What nvidia-smi says, by a program that prints what it prints."""

import sys

import pytest

from verl_ext.host.accelerator_memory import Accelerator, accelerators

LINES = "0, NVIDIA H100 80GB HBM3, 81559, 1024\n1, NVIDIA, the other, 24576, 0\n"


def program(text: str, code: int = 0) -> tuple[str, ...]:
    return (sys.executable, "-c", f"import sys; print({text!r}, end=''); sys.exit({code})")


def test_each_line_is_an_accelerator():
    first, second = accelerators(program(LINES))
    assert first == Accelerator(0, "NVIDIA H100 80GB HBM3", 81559 * 2**20, 2**30)
    assert (second.number, second.name) == (1, "NVIDIA, the other")


def test_what_the_program_says_when_it_fails():
    with pytest.raises(OSError, match="couldn't communicate with the driver"):
        accelerators(program("couldn't communicate with the driver", 9))
    with pytest.raises(FileNotFoundError):
        accelerators(("no-such-program",))
