"""Muon in the precision of its weights: momentum whose matrices are made orthogonal by a Newton-Schulz iteration.

``torch.optim.Muon`` rounds to bfloat16 first, which a processor without bfloat16 instructions multiplies fifteen times
slower than float32. Here one recipe asks for the same arithmetic everywhere. Matrices of one shape go through the
iteration together, which for small ones saves more than bfloat16 does where the processor has it.
"""

from collections import defaultdict
from collections.abc import Iterable
from math import sqrt

import torch

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the quintic, as in torch and in https://kellerjordan.github.io/posts/muon: the steepest at zero."""
NUM_ITERATIONS = 5


def orthogonal(gradient_NRC: torch.Tensor) -> torch.Tensor:
    """Bring the singular values of each of N matrices (R, C) to about 1: between 0.5 and 1.5."""
    is_tall = gradient_NRC.shape[-2] > gradient_NRC.shape[-1]
    x = gradient_NRC.mT if is_tall else gradient_NRC
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp(min=1e-7)
    a, b, c = COEFFICIENTS
    for _ in range(NUM_ITERATIONS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if is_tall else x


class Muon(torch.optim.Optimizer):
    """``torch.optim.Muon`` with Nesterov momentum and its original learning rate of tall matrices.

    Args:
        matrices: Parameters of two dimensions, all of which have a gradient at every step.
        lr: Of square and wide matrices; times the root of rows by columns for tall ones.
        weight_decay: Decoupled, as in AdamW.
        momentum: Of the gradients.
    """

    def __init__(
        self, matrices: Iterable[torch.nn.Parameter], *, lr: float, weight_decay: float, momentum: float = 0.95
    ) -> None:
        super().__init__(matrices, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Move the matrices once."""
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[torch.nn.Parameter]] = defaultdict(list)
            for matrix in group["params"]:
                by_shape[matrix.shape].append(matrix)
            for shape, matrices in by_shape.items():
                updates = orthogonal(torch.stack([self._momentum(matrix, group["momentum"]) for matrix in matrices]))
                rate = group["lr"] * sqrt(max(1, shape[0] / shape[1]))
                for matrix, update in zip(matrices, updates, strict=True):
                    matrix.mul_(1 - group["lr"] * group["weight_decay"])
                    matrix.add_(update, alpha=-rate)

    def _momentum(self, matrix: torch.nn.Parameter, momentum: float) -> torch.Tensor:
        assert matrix.grad is not None
        state = self.state[matrix]
        if not state:
            state["mean"] = torch.zeros_like(matrix)
        mean: torch.Tensor = state["mean"]
        mean.lerp_(matrix.grad, 1 - momentum)
        return matrix.grad.lerp(mean, momentum)
