import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from verl_ext.small_model.architecture import random_weights
from verl_ext.small_model.build import TINY
from verl_ext.small_model.muon import Muon, orthogonal
from verl_ext.small_model.supervise import Schedule, supervise
from verl_ext.small_model.tokenizer import build_tokenizer

SHAPES = [(12, 12), (20, 12), (12, 20), (20, 12)]


def parameters(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.nn.Parameter(torch.randn(shape, generator=generator)) for shape in SHAPES]


@pytest.mark.parametrize("shape", [(3, 8, 8), (2, 24, 8), (2, 8, 24)])
def test_singular_values_become_about_one_and_their_vectors_stay(shape):
    gradient_NRC = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    u, before, v = torch.linalg.svd(gradient_NRC, full_matrices=False)
    inside = u.mT @ orthogonal(gradient_NRC) @ v.mT
    after = inside.diagonal(dim1=-2, dim2=-1)
    # The quintic does not converge: it keeps all but the smallest within these bounds.
    assert ((after > 0.5) & (after < 1.5))[before > before.max() / 50].all()
    torch.testing.assert_close(inside, torch.diag_embed(after))


def test_float32_is_enough():
    gradient_NRC = torch.randn(2, 96, 256, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(orthogonal(gradient_NRC).double(), orthogonal(gradient_NRC.double()), atol=1e-5, rtol=0)


def test_moves_the_weights_as_torch_does():
    """Three steps beside torch's, which rounds to bfloat16: no further apart than that."""
    ours, theirs = parameters(), parameters()
    options = {"lr": 0.1, "weight_decay": 0.5}
    optimizers = Muon(ours, **options), torch.optim.Muon(theirs, **options)
    for step in range(3):
        for matrix, other, gradient in zip(ours, theirs, parameters(seed=step + 1), strict=True):
            matrix.grad, other.grad = gradient.detach().clone(), gradient.detach().clone()
        for optimizer in optimizers:
            optimizer.step()
    for matrix, other, start in zip(ours, theirs, parameters(), strict=True):
        assert (matrix - start).abs().max() > 0.05
        torch.testing.assert_close(matrix, other, atol=0.01, rtol=0)


class Precisions(TorchDispatchMode):
    """Every type of floating-point tensor that was computed while this was on."""

    def __init__(self):
        super().__init__()
        self.seen = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        self.seen |= {x.dtype for x in tree_leaves(result) if isinstance(x, torch.Tensor) and x.is_floating_point()}
        return result


def test_the_base_model_is_trained_in_float32_alone():
    """A processor without bfloat16 instructions multiplies it many times slower."""
    tokenizer = build_tokenizer(max_length=64)
    tokens_DT = torch.randint(len(tokenizer), (8, 6), generator=torch.Generator().manual_seed(0))
    with Precisions() as precisions:
        supervise(
            random_weights(TINY, tokenizer, seed=0),
            tokens_DT,
            tokens_DT,
            Schedule(num_steps=2, batch_size=4, num_warmup_steps=1),
        )
    assert precisions.seen == {torch.float32}
