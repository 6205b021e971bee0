"""The address that this machine's processes reach each other by, found as Ray finds it, and whether it works."""

import socket

PROBE = ("8.8.8.8", 80)
"""Nothing is sent there: the route to it names the interface."""
SECONDS = 1.0
LOOPBACK = "127.0.0.1"


def own_address() -> str:
    """Of the interface that leads out of this machine, else that of its name, else the loopback's."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(PROBE)
        except OSError:
            return _address_of_name()
        return str(probe.getsockname()[0])


def _address_of_name() -> str:
    try:
        return socket.gethostbyname(socket.gethostname())
    except OSError:
        return LOOPBACK


def reach_itself(address: str) -> None:
    """Listen on a free port of ``address`` and connect to it; raises OSError where that does not go."""
    with socket.socket() as listening:
        listening.bind((address, 0))
        listening.listen(1)
        reach(address, listening.getsockname()[1])


def reach(host: str, port: int) -> None:
    """Connect to a port and let go of it; raises OSError where nobody answers within a second."""
    socket.create_connection((host, port), timeout=SECONDS).close()
