"""The ranks of ``learner``: a process that imports torch and verl once, and a fork of it for each rank of each job."""

import json
import os
import signal
import sys
import traceback
from functools import partial
from pathlib import Path
from typing import Any

import peft  # noqa: F401  what a job would import by itself
import torch
import transformers.models.llama.modeling_llama
import transformers.models.qwen2.modeling_qwen2  # noqa: F401
from tensordict import TensorDict
from torch.distributed.checkpoint.state_dict import StateDictOptions, set_model_state_dict
from verl.trainer.ppo.padding_utils import construct_minimal_padding_template
from verl.utils import tensordict_utils as tu
from verl.workers.config import (
    FSDPActorConfig,
    FSDPEngineConfig,
    FSDPOptimizerConfig,
    HFModelConfig,
    PolicyLossConfig,
    TrainingWorkerConfig,
)
from verl.workers.utils.losses import ppo_loss
from verl.workers.utils.padding import response_from_nested

import verl_ext.training.losses  # noqa: F401  registers them
from verl_ext.host.parent_death import end_with_parent
from verl_ext.learner.verl_workers import LearnerWorker

FP32 = {"param_dtype": "fp32", "reduce_dtype": "fp32", "buffer_dtype": "fp32"}


def serve() -> None:
    """Jobs in, exit codes of their ranks out, a line of JSON each."""
    replies = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # libraries print
    for line in sys.stdin:
        job = json.loads(line)
        ranks = [_fork(job, rank) for rank in range(job["num_ranks"])]
        print(json.dumps(_exit_codes(ranks)), file=replies)


def _exit_codes(ranks: list[int]) -> list[int]:
    """Of the ranks in their order; when one has failed the others, which would wait for it, are killed."""
    codes: dict[int, int] = {}
    while len(codes) < len(ranks):
        process, status = os.wait()
        codes[process] = os.waitstatus_to_exitcode(status)
        if codes[process]:
            for other in set(ranks) - codes.keys():
                os.kill(other, signal.SIGKILL)
    return [codes[rank] for rank in ranks]


def _fork(job: dict[str, Any], rank: int) -> int:
    server = os.getpid()
    process = os.fork()
    if process:
        return process
    code = 1
    try:
        end_with_parent(signal.SIGKILL, server)
        log = os.open(Path(job["folder"]) / f"rank{rank}.log", os.O_CREAT | os.O_WRONLY)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.environ |= {
            "RANK": str(rank),
            "WORLD_SIZE": str(job["num_ranks"]),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(job["port"]),
            "LOCAL_RANK": "0",
        }
        _make(job, rank)
        code = 0
    except BaseException:  # noqa: BLE001  the parent shows it
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _make(job: dict[str, Any], rank: int) -> None:
    """The updates of a job, from the same start; the first rank saves them."""
    worker = _worker(job)
    module = worker.engine.module
    start = _weights(module)
    results = []
    for case in job["cases"]:
        set_model_state_dict(module, start, options=StateDictOptions(full_state_dict=True))
        metrics, own = _update(worker, case, rank, job["num_ranks"])
        results.append((_weights(module), metrics, own))
    if rank == 0:
        torch.save(results, Path(job["folder"]) / "updates.pt")
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


def _weights(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.full_tensor().clone() for name, value in module.state_dict().items()}


def _worker(job: dict[str, Any]) -> LearnerWorker:
    usual = {
        "override_config": {"attn_implementation": "sdpa"},
        "use_remove_padding": False,
        "enable_gradient_checkpointing": False,
    }
    model_config = HFModelConfig(path=job["model"], **usual | job["model_options"])
    engine = FSDPEngineConfig(strategy="fsdp2", mixed_precision=FP32, use_torch_compile=False, use_dynamic_bsz=True)
    engine.max_token_len_per_gpu = engine.infer_max_token_len_per_gpu = job["max_tokens"]
    # SGD without clipping shows the gradient itself; AdamW's first step would show only its sign.
    optimizer = FSDPOptimizerConfig(
        lr=0.1, optimizer="SGD", clip_grad=1e9, total_training_steps=1, weight_decay=0.0, override_optimizer_config={}
    )
    torch.manual_seed(0)  # an adapter begins with random numbers
    worker = LearnerWorker(
        TrainingWorkerConfig(
            model_type="language_model",
            model_config=model_config,
            engine_config=engine,
            optimizer_config=optimizer,
            checkpoint_config=FSDPActorConfig(strategy="fsdp2", rollout_n=1, ppo_micro_batch_size_per_gpu=1).checkpoint,
        )
    )
    worker.reset()
    return worker


def _update(
    worker: LearnerWorker, case: dict[str, Any], rank: int, num_ranks: int
) -> tuple[dict[str, list[float]], dict[str, list[torch.Tensor]]]:
    """Make one update; returns its metrics and what it says of its own log-probs."""
    options = dict(case["options"])
    of_loss = {name: options.pop(name) for name in ("loss_mode", "dro_beta") if name in options}
    actor = FSDPActorConfig(
        strategy="fsdp2",
        rollout_n=1,
        use_dynamic_bsz=True,
        ppo_micro_batch_size_per_gpu=1,
        policy_loss=PolicyLossConfig(**of_loss),
        **options,
    )
    worker.set_loss_fn(partial(ppo_loss, config=actor))
    mine, num_samples = _share(case["rows"], rank, num_ranks)
    shifts = {"old_log_probs": mine.pop("old_shift"), "rollout_log_probs": mine.pop("rollout_shift")}
    tu.assign_non_tensor(mine, calculate_entropy=False, compute_loss=False, temperature=1.0)
    log_probs = worker.infer_batch(mine.clone())["log_probs"]
    of_policy = response_from_nested(log_probs, mine["response_mask"])
    name = "rollout_log_probs" if case["said"].get("own_log_probs") else "old_log_probs"
    mine[name] = torch.nested.as_nested_tensor(
        [a + b for a, b in zip(of_policy.unbind(), shifts[name].unbind(), strict=True)], layout=torch.jagged
    )
    tu.assign_non_tensor(
        mine,
        calculate_entropy=actor.entropy_coeff != 0,
        compute_loss=True,
        global_batch_size=num_samples,
        mini_batch_size=num_samples,
        epochs=1,
        seed=0,
        dataloader_kwargs={"shuffle": False},
        **case["said"],
    )
    torch.manual_seed(0)  # clip_cov draws the tokens that it leaves out
    metrics = tu.get(worker.train_mini_batch(mine), "metrics")
    own = {} if worker.own_log_probs is None else worker.own_log_probs.fields()
    return (
        {name: [float(value) for value in values] for name, values in metrics.items()},
        {name: list(values.unbind()) for name, values in own.items()},
    )


def _share(rows: list[dict[str, Any]], rank: int, num_ranks: int) -> tuple[TensorDict, int]:
    """The rows of a rank, and how many all ranks have with the padding that makes their shares equal."""
    samples = [_sample(row) for row in rows]
    padding, _ = construct_minimal_padding_template(samples[0], {}, eos_token_id=0)
    padding = {name: padding[name] for name in samples[0]} | {
        name: torch.zeros(1) for name in ("advantages", "old_shift", "rollout_shift")
    }
    while len(samples) % num_ranks:
        samples.append(padding)
    return _nested(samples[rank::num_ranks]), len(samples)


def _nested(samples: list[dict]) -> TensorDict:
    columns = {name: [sample[name] for sample in samples] for name in samples[0]}
    nested = {name: torch.nested.as_nested_tensor(values, layout=torch.jagged) for name, values in columns.items()}
    return TensorDict(nested, batch_size=len(samples))


def _sample(row: dict) -> dict:
    prompts, responses = torch.tensor(row["prompt"]), torch.tensor(row["response"])
    input_ids = torch.cat([prompts, responses])
    ones = torch.ones_like(responses)
    return {
        "prompts": prompts,
        "responses": responses,
        "input_ids": input_ids,
        "position_ids": torch.arange(len(input_ids)),
        "response_mask": ones,
        "loss_mask": ones,
        "advantages": torch.full_like(responses, row["advantage"], dtype=torch.float32),
        "old_shift": torch.full_like(responses, row["old_shift"], dtype=torch.float32),
        "rollout_shift": torch.full_like(responses, row.get("rollout_shift", 0.0), dtype=torch.float32),
    }


if __name__ == "__main__":
    end_with_parent(signal.SIGKILL, int(sys.argv[1]))
    serve()
