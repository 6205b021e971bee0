"""A rollout that hears of the first weights only, as vLLM's worker extension, for a test."""

from typing import Any

from verl_ext.cpu.rollout import CPUWorkerExtension


class LostWeightsExtension(CPUWorkerExtension):
    def _update_weights(self, weights: list[Any], **options: Any) -> None:
        """Load what the first push brought, whatever this one brings."""
        if not hasattr(self, "weights_of_first_push"):
            self.weights_of_first_push = weights
        super()._update_weights(self.weights_of_first_push, **options)
