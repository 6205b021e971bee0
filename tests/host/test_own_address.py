"""This machine's processes reach each other, or it is said that they do not."""

import socket

import pytest

from verl_ext.host.own_address import LOOPBACK, own_address, reach, reach_itself


def test_the_own_address_can_be_reached():
    reach_itself(LOOPBACK)
    reach_itself(own_address())


def test_an_address_of_somebody_else_and_a_port_of_nobody():
    with pytest.raises(OSError):
        reach_itself("203.0.113.1")  # kept for documentation: no machine has it
    with socket.socket() as taken:
        taken.bind((LOOPBACK, 0))  # and does not listen
        with pytest.raises(OSError):
            reach(LOOPBACK, taken.getsockname()[1])


def test_ray_finds_the_same_address():
    from ray._private.services import get_node_ip_address

    assert get_node_ip_address() == own_address()
