"""One case of ``gpu.py learner``, in a process of its own: verl's FSDP2 learner on one device, its time and its memory.

Reads the case as JSON from the command line, prints the measurement as the last line of its output.
"""

import json
import os
import random
import sys
import time
from functools import partial
from typing import Any

from verl_ext.host.vllm_on_cpu import CPU_PLATFORM


def rows(case: dict[str, Any], vocabulary: int) -> list[dict[str, Any]]:
    """Samples of one step: random tokens, response lengths from a quarter of the longest up to it, right or wrong.

    Wrong samples have advantage -1, right ones 0. With ``kept_only`` those of advantage 0 are left out and the others
    carry the share of the tokens that is left, as under ``algorithm.loss_normalizer=all``.
    """
    import torch

    chance = random.Random(0)
    tokens = torch.Generator().manual_seed(0)
    samples = []
    for _ in range(case["samples"]):
        length = chance.randint(case["response"] // 4, case["response"])
        samples.append(
            {
                "prompts": torch.randint(0, vocabulary, (case["prompt"],), generator=tokens),
                "responses": torch.randint(0, vocabulary, (length,), generator=tokens),
                "advantage": 0.0 if chance.random() < case["correct"] else -1.0,
            }
        )
    if case["kept_only"]:
        kept = [sample for sample in samples if sample["advantage"]]
        share = sum(len(s["responses"]) for s in kept) / sum(len(s["responses"]) for s in samples)
        samples = [sample | {"advantage": sample["advantage"] * share} for sample in kept]
    return samples


def batch(samples: list[dict[str, Any]]) -> Any:
    import torch
    from tensordict import TensorDict

    columns: dict[str, list[torch.Tensor]] = {}
    for sample in samples:
        ones = torch.ones_like(sample["responses"])
        input_ids = torch.cat([sample["prompts"], sample["responses"]])
        for name, value in {
            "prompts": sample["prompts"],
            "responses": sample["responses"],
            "input_ids": input_ids,
            "position_ids": torch.arange(len(input_ids)),
            "response_mask": ones,
            "loss_mask": ones,
            "advantages": torch.full_like(ones, sample["advantage"], dtype=torch.float32),
        }.items():
            columns.setdefault(name, []).append(value)
    nested = {name: torch.nested.as_nested_tensor(values, layout=torch.jagged) for name, values in columns.items()}
    return TensorDict(nested, batch_size=len(samples))


def main() -> None:
    case = json.loads(sys.argv[1])
    if case["device"] == "cpu":
        os.environ |= CPU_PLATFORM
    os.environ |= {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1"}
    os.environ.setdefault("MASTER_PORT", "29511")
    os.environ["VERL_USE_EXTERNAL_MODULES"] = "verl_ext.plugin"

    import torch
    from verl.utils import tensordict_utils as tu
    from verl.utils.device import get_torch_device
    from verl.utils.torch_functional import logprobs_from_logits_v2
    from verl.workers.config import (
        FSDPActorConfig,
        FSDPEngineConfig,
        FSDPOptimizerConfig,
        HFModelConfig,
        TrainingWorkerConfig,
    )
    from verl.workers.engine.fsdp import transformer_impl
    from verl.workers.engine_workers import TrainingWorker
    from verl.workers.utils.losses import ppo_loss
    from verl.workers.utils.padding import response_from_nested

    if case["verls_log_probs"]:
        transformer_impl.logprobs_from_logits = lambda logits, labels, inplace_backward=True: logprobs_from_logits_v2(
            logits, labels
        )
    precision = {"param_dtype": case["dtype"], "reduce_dtype": "fp32", "buffer_dtype": "fp32"}
    engine = FSDPEngineConfig(
        strategy="fsdp2",
        mixed_precision=precision,
        model_dtype="fp32",
        use_torch_compile=False,
        use_dynamic_bsz=True,
        use_no_sync_for_gradient_accumulation=False,  # as verl's configuration says, and not its dataclass
        use_fused_kernels=case["chunks"],
    )
    engine.max_token_len_per_gpu = engine.infer_max_token_len_per_gpu = case["token_budget"]
    worker = TrainingWorker(
        TrainingWorkerConfig(
            model_type="language_model",
            model_config=HFModelConfig(
                path=case["model"],
                override_config={"attn_implementation": case["attention"]},
                use_remove_padding=case["packed"],
                enable_gradient_checkpointing=case["checkpointing"],
                use_fused_kernels=case["chunks"],
                fused_kernel_options={"impl_backend": "torch"},
            ),
            engine_config=engine,
            optimizer_config=FSDPOptimizerConfig(lr=1e-6, total_training_steps=1),
            checkpoint_config=FSDPActorConfig(strategy="fsdp2", rollout_n=1, ppo_micro_batch_size_per_gpu=1).checkpoint,
        )
    )
    worker.reset()
    actor = FSDPActorConfig(
        strategy="fsdp2", rollout_n=1, use_dynamic_bsz=True, entropy_coeff=case["entropy_coeff"], clip_ratio_c=1e9
    )
    worker.set_loss_fn(partial(ppo_loss, config=actor))
    device = get_torch_device()
    samples = rows(case, worker.engine.module.config.vocab_size)
    seconds: dict[str, list[float]] = {"old_log_prob": [], "update": []}
    first_log_probs, grad_norm = None, 0.0
    for repeat in range(1 + case["repeats"]):  # the first one warms up
        data = batch(samples)
        tu.assign_non_tensor(data, calculate_entropy=False, compute_loss=False, temperature=1.0)
        device.synchronize()
        began = time.perf_counter()
        log_probs = worker.infer_batch(data.clone())["log_probs"]
        device.synchronize()
        seconds["old_log_prob"].append(time.perf_counter() - began)
        data["old_log_probs"] = response_from_nested(log_probs, data["response_mask"])
        tu.assign_non_tensor(
            data,
            calculate_entropy=actor.entropy_coeff != 0,
            compute_loss=True,
            global_batch_size=len(samples),
            mini_batch_size=len(samples),
            epochs=1,
            seed=0,
            dataloader_kwargs={"shuffle": False},
        )
        if repeat == 1:
            device.reset_peak_memory_stats()
        began = time.perf_counter()
        output = worker.train_mini_batch(data)
        device.synchronize()
        seconds["update"].append(time.perf_counter() - began)
        if first_log_probs is None:
            first_log_probs = data["old_log_probs"].values().float().cpu()
            (grad_norm,) = tu.get(output, "metrics")["grad_norm"]
    torch.save(first_log_probs, case["log_probs"])
    measured = {
        "seconds": {name: values[1:] for name, values in seconds.items()},
        "peak_bytes": int(device.max_memory_allocated()),
        "num_tokens": sum(len(s["prompts"]) + len(s["responses"]) for s in samples),
        "num_samples": len(samples),
        "grad_norm": float(grad_norm),
    }
    print(json.dumps(measured))


if __name__ == "__main__":
    main()
