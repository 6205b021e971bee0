"""Weights from the trainer into vLLM's CPU build.

After loading, vLLM's CPU backend packs every linear layer for oneDNN and throws the original parameter away, so verl's
``model.load_weights`` finds nothing to write to. vLLM's layerwise reload puts the parameters back, loads and packs
again; it needs all buckets of a push at once, and ``verl_ext.cpu.tied_head`` after it.
"""

from typing import Any

import torch
from verl.workers.rollout.vllm_rollout.bucketed_weight_transfer import BucketedWeightReceiver
from verl.workers.rollout.vllm_rollout.utils import vLLMColocateWorkerExtension
from vllm.model_executor.model_loader.reload import finalize_layerwise_reload, initialize_layerwise_reload

from verl_ext.cpu.tied_head import retie
from verl_ext.host.heap import give_back


class CPUWorkerExtension(vLLMColocateWorkerExtension):
    """verl's vLLM worker extension with a weight push that vLLM's CPU backend survives.

    Chosen by ``rollout.engine_kwargs.vllm.worker_extension_cls``. LoRA adapters go through the parent unchanged.
    """

    def seed_sampling(self, seed: int) -> None:
        """Let samples depend on ``seed`` and on what is asked from now on, whatever the engine has done before."""
        torch.manual_seed(seed)

    def update_weights_from_ipc(
        self, peft_config: dict[str, Any] | None = None, base_sync_done: bool = False, use_shm: bool = False
    ) -> None:
        """Receive one push; full weights are loaded when the last bucket has arrived."""
        if peft_config and base_sync_done:
            super().update_weights_from_ipc(peft_config=peft_config, base_sync_done=base_sync_done, use_shm=use_shm)
            return
        weights: list[tuple[str, torch.Tensor]] = []

        def keep(bucket: list[tuple[str, torch.Tensor]], is_last: bool) -> None:
            # Cloned, because the next bucket overwrites the shared memory these tensors live in.
            weights.extend((name, tensor.clone()) for name, tensor in bucket)

        BucketedWeightReceiver(zmq_handle=self._get_zmq_handle(), device=self.device, use_shm=use_shm).receive_weights(
            on_bucket_received=keep
        )
        model = self.model_runner.model
        initialize_layerwise_reload(model)
        self._update_weights(weights, peft_config=peft_config, base_sync_done=base_sync_done)
        finalize_layerwise_reload(model, self.model_runner.vllm_config.model_config)
        retie(model)
        weights.clear()
        give_back()
