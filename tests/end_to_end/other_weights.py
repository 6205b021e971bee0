"""A rollout that loads other weights than it is sent, from its seventh push on, as vLLM's worker extension, for a test."""

from typing import Any

from verl_ext.cpu.rollout import CPUWorkerExtension

LAST_RIGHT_PUSH = 6
"""A run of three steps has four pushes: the second run's first two are right."""


class OtherWeightsExtension(CPUWorkerExtension):
    num_pushes = 0

    def _update_weights(self, weights: list[Any], **options: Any) -> None:
        self.num_pushes += 1
        if self.num_pushes > LAST_RIGHT_PUSH:
            weights = [(name, tensor * 1.1 if tensor.dim() > 1 else tensor) for name, tensor in weights]
        super()._update_weights(weights, **options)
