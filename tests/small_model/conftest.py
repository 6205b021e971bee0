import pytest
import torch


@pytest.fixture(autouse=True)
def _one_thread():
    """Threads of torch that wait for each other spin, and on a busy machine a tiny model takes seconds a step."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
