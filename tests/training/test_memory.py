"""A CPU run's sizes follow from the model and from what is free; what cannot fit is refused with the option."""

import json
from copy import deepcopy
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from tests.training.conftest import overrides_of
from verl_ext.host.free_memory import GIB, Memory
from verl_ext.host.vllm_on_cpu import KV_CACHE_VARIABLE
from verl_ext.training import memory
from verl_ext.training.configuration import compose_config
from verl_ext.training.model_shape import shape_of

SMOLLM2 = {
    "model_type": "llama", "hidden_size": 576, "num_attention_heads": 9, "num_key_value_heads": 3,
    "num_hidden_layers": 30, "intermediate_size": 1536, "vocab_size": 49152, "tie_word_embeddings": True,
    "max_position_embeddings": 8192,
}  # fmt: skip
TINY = SMOLLM2 | {"hidden_size": 64, "num_attention_heads": 1, "num_key_value_heads": 1, "num_hidden_layers": 2}
LARGE = SMOLLM2 | {"hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 28, "vocab_size": 128256}
BYTE = TINY | {
    "hidden_size": 96,
    "num_attention_heads": 3,
    "num_hidden_layers": 3,
    "intermediate_size": 256,
    "vocab_size": 260,
}
STEP = [
    "data.train_batch_size=8", "data.max_prompt_length=128", "data.max_response_length=64",
    "actor_rollout_ref.rollout.n=8",
]  # fmt: skip


def having(gib: float, total: float | None = None) -> Memory:
    return Memory(int(gib * GIB), int((total or gib) * GIB), "free on this machine", "all of this machine's")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Folders with a config.json each, and no weights: their number is then counted from the sizes."""
    folders = {}
    unknown = {"model_type": "llama"}
    for name, config in {"smollm2": SMOLLM2, "tiny": TINY, "byte": BYTE, "large": LARGE, "unknown": unknown}.items():
        folders[name] = tmp_path_factory.mktemp(name)
        (folders[name] / "config.json").write_text(json.dumps(config))
    return folders


@cache
def _composed(path, overrides: tuple[str, ...], device: str):
    precision = ["precision=float32"] if device == "cpu" else []  # whatever this processor is good at
    return compose_config([f"actor_rollout_ref.model.path={path}", *STEP, *precision, *overrides], device=device)


def composed(path, *overrides: str, device: str = "cpu"):
    """A copy of a configuration that is composed once: that takes half a second."""
    return deepcopy(_composed(path, overrides, device))


def settled(path, available: Memory, *overrides: str):
    config = composed(path, *overrides)
    memory.settle(config, available)
    return config


def test_parameters_are_counted_from_the_sizes(models):
    """SmolLM2-135M: 134.5 million."""
    assert shape_of(models["smollm2"]).num_parameters == pytest.approx(134.5e6, rel=0.001)


@pytest.mark.parametrize(("word", "size"), [("half", 2), ("bf16", 2), ("float16", 2), ("float", 4), ("fp32", 4)])
def test_every_word_for_a_precision_has_its_bytes(word, size):
    assert memory.bytes_of(word) == size


def test_a_token_of_cache_in_a_worked_example(models):
    """30 layers, keys and values of 3 heads of 64 numbers in float32: 46,080 bytes; 192 tokens are six blocks of 32 and one for the next, and one more is no sample's."""
    config = settled(models["smollm2"], having(64))
    assert OmegaConf.select(config, memory.CACHE) == (64 * 7 + 1) * 32 * 46080
    assert KV_CACHE_VARIABLE not in config.ray_kwargs.ray_init.runtime_env.env_vars
    assert config.actor_rollout_ref.rollout.max_model_len == 192


@given(gib=st.floats(0, 200), tokens=st.one_of(st.integers(16, 4000), st.integers(16000, 50000)))
def test_what_is_chosen_fits_or_is_the_least(models, gib, tokens):
    config = composed(models["smollm2"])
    config.data.max_response_length = tokens
    memory.settle(config, having(gib))
    planner, found = memory.planner_of(config), memory.estimate(config)
    budget, cache = OmegaConf.select(config, memory.BUDGET), memory.cache_of(config)
    assert planner.longest <= budget <= max(planner.longest, memory.LARGEST_BUDGET)
    assert planner.least_cache() <= cache <= max(planner.least_cache(), memory.LARGEST_CACHE)
    is_least = budget == planner.longest and cache == planner.least_cache()
    assert is_least or found.peak_of("update") <= max(
        memory.SHARE * gib * GIB, planner.estimate(planner.longest, 0, cache).peak
    )
    assert OmegaConf.select(config, "actor_rollout_ref.rollout.log_prob_max_token_len_per_gpu") == budget
    assert OmegaConf.select(config, "actor_rollout_ref.ref.log_prob_max_token_len_per_gpu") == budget


def test_more_memory_gives_no_smaller_sizes(models):
    sizes = [
        (OmegaConf.select(config, memory.BUDGET), memory.cache_of(config))
        for config in (settled(models["smollm2"], having(gib)) for gib in (1, 4, 7, 8, 9, 12, 100))
    ]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1]


DETERMINISTIC = "trainer.deterministic=True"


def sizes_of(config) -> tuple:
    return (
        OmegaConf.select(config, memory.BUDGET),
        OmegaConf.select(config, memory.CRITIC_BUDGET),
        memory.cache_of(config),
    )


def test_what_others_take_does_not_move_a_run_that_repeats(models):
    """Nor does it promise them that there is room: the launch says what is missing now."""
    alone, beside = (
        settled(models["smollm2"], having(free, total=16), DETERMINISTIC, "actor_rollout_ref.rollout.n=64")
        for free in (16, 6)
    )
    assert sizes_of(beside) == sizes_of(alone)
    assert "more than is free now" in memory.described(beside, having(6, total=16))
    assert "more than is free now" not in memory.described(alone, having(16))
    others = [settled(models["smollm2"], having(free, total=16)) for free in (16, 6)]
    assert sizes_of(others[1]) < sizes_of(others[0])
    with pytest.raises(ValueError, match="more even with one row"):
        memory.check_memory(settled(models["smollm2"], having(3), DETERMINISTIC), having(3))


def test_a_run_that_repeats_goes_on_with_the_sizes_that_it_has_had(models, tmp_path):
    """On another machine; also with what it was given, and with the cache of the runs that it shares an engine with."""
    own = (DETERMINISTIC, f"trainer.output_dir={tmp_path}")
    first = settled(models["smollm2"], having(6), *own)
    OmegaConf.update(first, memory.CACHE, 2 * memory.cache_of(first))
    record = {"config": OmegaConf.to_container(first, resolve=True)}
    (tmp_path / "run.json").write_text(json.dumps(record))
    larger = settled(models["smollm2"], having(64), *own)
    assert sizes_of(larger) != sizes_of(first), "there is no checkpoint to go on from"
    (tmp_path / "checkpoints/global_step_1").mkdir(parents=True)
    assert sizes_of(settled(models["smollm2"], having(64), *own)) == sizes_of(first)
    for option in ("trainer.resume_mode=disable", "trainer.deterministic=False"):
        assert sizes_of(settled(models["smollm2"], having(64), *own, option)) == sizes_of(larger)
    given = settled(models["smollm2"], having(64), *own, f"{memory.BUDGET}=777", f"{memory.CACHE}=12345")
    assert sizes_of(given)[::2] == (777, 12345)
    (tmp_path / "run.json").unlink()
    assert sizes_of(settled(models["smollm2"], having(64), *own)) == sizes_of(larger)


def test_a_larger_vocabulary_without_chunks_gets_smaller_micro_batches(models):
    chunks, whole = (
        OmegaConf.select(
            settled(models["smollm2"], having(64), f"actor_rollout_ref.model.use_fused_kernels={is_chunked}"),
            memory.BUDGET,
        )
        for is_chunked in (True, False)
    )
    assert whole < chunks


def test_a_small_model_s_cache_holds_as_many_samples_as_vllm_takes(models):
    """256 rows of 2 layers with 64 numbers of keys and of values: 2 x 2 x 64 x 4 x 224 bytes each, and a block of 32 that is no sample's."""
    config = settled(models["tiny"], having(64))
    assert OmegaConf.select(config, memory.CACHE) == 2 * 2 * 64 * 4 * (256 * 224 + 32)


def test_one_sample_at_a_time_has_a_block_beside_the_one_that_vllm_keeps(models):
    """vLLM 0.28 gives its first block to nobody: with no other it would start, and wait for ever."""
    short = ("data.max_prompt_length=32", "data.max_response_length=16", "actor_rollout_ref.rollout.max_num_seqs=1")
    config = settled(models["tiny"], having(64), *short)
    assert OmegaConf.select(config, memory.CACHE) == 3 * 32 * 2 * 2 * 64 * 4


def test_bfloat16_halves_the_engine(models):
    float32, bfloat16 = (
        memory.estimate(settled(models["smollm2"], having(64), f"actor_rollout_ref.rollout.dtype={dtype}")).resident
        for dtype in ("float32", "bfloat16")
    )
    assert [2 * bfloat16[part] for part in ("engine", "cache")] == [float32[part] for part in ("engine", "cache")]
    assert bfloat16["weights"] == float32["weights"]


def test_what_is_given_stays(models, monkeypatch):
    given = [f"{memory.BUDGET}=777", f"{memory.CACHE_IN_GIB}=3", "actor_rollout_ref.rollout.max_model_len=500"]
    config = settled(models["smollm2"], having(64), *given)
    assert OmegaConf.select(config, memory.BUDGET) == 777
    assert memory.cache_of(config) == 3 * GIB
    assert config.ray_kwargs.ray_init.runtime_env.env_vars[KV_CACHE_VARIABLE] == "3"
    assert config.actor_rollout_ref.rollout.max_model_len == 500
    assert memory.cache_of(settled(models["smollm2"], having(64), f"{memory.CACHE}=12345")) == 12345
    monkeypatch.setenv(KV_CACHE_VARIABLE, "5")
    assert memory.cache_of(settled(models["smollm2"], having(64))) == 5 * GIB


def test_accelerators_are_left_alone(models):
    config = composed(models["smollm2"], device="gpu")
    before = OmegaConf.to_container(config, resolve=True)
    memory.settle(config, having(0))
    assert OmegaConf.to_container(config, resolve=True) == before
    memory.check_memory(config, having(0))
    assert memory.described(config) == ""


def test_a_model_of_unknown_sizes_gets_verls_numbers(models):
    config = settled(models["unknown"], having(64))
    assert OmegaConf.select(config, memory.BUDGET) == 16384
    assert OmegaConf.select(config, memory.CRITIC_BUDGET) == 32768
    assert memory.cache_of(config) == GIB
    memory.check_memory(config, having(0.1))
    told = memory.described(config, having(7))
    assert told == (
        f"memory: sizes unknown, since the config.json of {models['unknown']} does not name them: nothing is estimated, and "
        f"that it fits into 7.0 GiB free on this machine is not checked. {memory.BUDGET}=16384 tokens of a micro-batch, "
        "1.00 GiB of cache. Where that is too much, set them."
    )


def test_of_two_models_the_one_of_unknown_sizes_is_named(models):
    config = settled(
        models["smollm2"], having(64), "algorithm.adv_estimator=gae", f"critic.model.path={models['unknown']}"
    )
    told = memory.described(config, having(64))
    assert f"the config.json of {models['unknown']} does not" in told
    assert f"{memory.BUDGET}=16384 tokens of a micro-batch, {memory.CRITIC_BUDGET}=32768 of the critic's" in told


REFUSED = {
    "the model": ("large", [], having(16), r"model\.path=.*more even with one row.*lora_rank=16"),
    "its micro-batches": (
        "smollm2", [f"{memory.BUDGET}=8192"], having(9), r"ppo_max_token_len_per_gpu=8192: the run .*Leave the option out",
    ),
    "its rows": (
        "smollm2",
        ["actor_rollout_ref.actor.use_dynamic_bsz=False", "actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu=64"],
        having(9), r"actor\.ppo_micro_batch_size_per_gpu=64: the run .*Lower it, or leave it and \S+\.actor\.use_dynamic_bsz out: ",
    ),
    "its cache": ("smollm2", [f"{memory.CACHE_IN_GIB}=40"], having(24), r"VLLM_CPU_KVCACHE_SPACE=40: the run .*lower it"),
    "the critic's": (
        "smollm2", ["algorithm.adv_estimator=gae", "critic.model.path=MODEL", f"{memory.CRITIC_BUDGET}=16384"], having(16),
        r"critic\.ppo_max_token_len_per_gpu=16384: the run ",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_fit_is_refused_with_the_option(models, case):
    model, overrides, available, message = REFUSED[case]
    path = models[model]
    config = settled(path, available, *(override.replace("MODEL", str(path)) for override in overrides))
    with pytest.raises(ValueError, match=message) as refused:
        memory.check_memory(config, available)
    assert f"there are {available.total / GIB:.1f} GiB (all of this machine's)" in str(refused.value)


def test_what_only_others_take_is_no_reason_to_refuse(models):
    available = having(2, total=24)
    config = settled(models["smollm2"], available)
    memory.check_memory(config, available)
    assert "more than is free now" in memory.described(config, available)


def test_an_adapter_fits_where_all_weights_do_not(models):
    available = having(13)
    with pytest.raises(ValueError, match="more even with one row"):
        memory.check_memory(settled(models["large"], available), available)
    needed = [
        memory.estimate(settled(models["large"], available, *lora)).peak
        for lora in ([], ["actor_rollout_ref.model.lora_rank=16"])
    ]
    assert needed[1] < 0.7 * needed[0]


def test_the_launch_says_each_phase(models):
    told = memory.described(settled(models["smollm2"], having(24)), having(24))
    assert "of 24.0 free on this machine" in told
    for phase in ("rollout", "loading", "update", "weight push"):
        assert phase in told
    assert "optimizer 1.0" in told
    assert f"{memory.BUDGET}=" in told


def test_the_launcher_settles_and_checks(folder, models, monkeypatch):
    from verl_ext.training import preflight

    config = compose_config(overrides_of(folder), device="cpu")
    preflight.check(config)
    assert OmegaConf.select(config, memory.BUDGET) > 0
    monkeypatch.setattr(memory, "read_memory", lambda: having(0.5))
    given = [*overrides_of(folder), f"actor_rollout_ref.model.path={folder}/model"]
    (folder / "model" / "config.json").write_text(json.dumps(SMOLLM2 | {"dtype": "float32"}))
    with pytest.raises(ValueError, match="more even with one row"):
        preflight.check(compose_config(given, device="cpu"))


def test_a_cache_that_is_no_number(models):
    with pytest.raises(ValueError, match="VLLM_CPU_KVCACHE_SPACE must be a whole number of GiB, got much"):
        settled(models["smollm2"], having(64), f"{memory.CACHE_IN_GIB}=much")


def test_runs_on_one_stack_get_one_engine(models):
    """The larger sizes, but for what a run was given; a run with another model has its own."""
    given = [["data.max_response_length=64"], ["data.max_response_length=500"], [f"{memory.CACHE}=12345"], []]
    paths = [models["smollm2"], models["smollm2"], models["smollm2"], models["large"]]
    configs = [settled(path, having(64), *overrides) for path, overrides in zip(paths, given, strict=True)]
    before = [(OmegaConf.select(c, memory.CACHE), OmegaConf.select(c, memory.MAX_MODEL_LEN)) for c in configs]
    memory.agree(configs, given)
    after = [(OmegaConf.select(c, memory.CACHE), OmegaConf.select(c, memory.MAX_MODEL_LEN)) for c in configs]
    assert before[0] < before[1] == after[0] == after[1]
    assert after[2] == (12345, 628)
    assert after[3] == before[3]


def test_a_run_that_repeats_to_the_bit_keeps_the_sizes_that_it_has_on_its_own(models):
    """Else it would be another run beside those that it happens to be started with."""
    given = [["trainer.deterministic=True", "data.max_response_length=64"], ["data.max_response_length=500"]]
    configs = [settled(models["smollm2"], having(64), *overrides) for overrides in given]
    alone = [(OmegaConf.select(c, memory.CACHE), OmegaConf.select(c, memory.MAX_MODEL_LEN)) for c in configs]
    memory.agree(configs, given)
    assert [(OmegaConf.select(c, memory.CACHE), OmegaConf.select(c, memory.MAX_MODEL_LEN)) for c in configs] == alone


def test_in_bfloat16_a_micro_batch_of_the_same_memory_has_more_tokens(models):
    """SmolLM2: of each token 30 layers x 9,600 numbers x 1.3, in 1 GiB beside nothing else, rounded down to 64."""
    for precision, tokens in (("float32", 704), ("bfloat16", 1024)):
        config = settled(models["smollm2"], having(64), f"precision={precision}")
        assert OmegaConf.select(config, memory.BUDGET) == tokens


MEASURED = {
    "SmolLM2 in float32": (7.6, "smollm2", ["data.max_prompt_length=192"]),
    "SmolLM2 in bfloat16": (6.6, "smollm2", ["data.max_prompt_length=192", "precision=bfloat16"]),
    "the byte model": (
        1.9, "byte",
        ["data.max_prompt_length=32", "data.max_response_length=16", "actor_rollout_ref.rollout.max_model_len=128"],
    ),
}  # fmt: skip
"""The runs of docs/cpu.md against TRL, 8 prompts x 8 samples, with the largest peak of their objectives in GiB."""


@pytest.mark.parametrize("run", MEASURED)
def test_the_estimate_is_not_below_what_was_measured(models, run):
    """Nor 15 % above it, so that little is refused which would fit."""
    peak, model, overrides = MEASURED[run]
    config = settled(models[model], having(16), *overrides)
    assert peak <= memory.estimate(config).peak / GIB <= 1.15 * peak


@pytest.mark.parametrize(("precision", "tokens", "limit"), [("float32", 704, 7), ("bfloat16", 1024, 6.5)])
def test_a_limit_below_a_measured_peak_refuses_its_micro_batches(models, precision, tokens, limit):
    given = ["data.max_prompt_length=192", f"precision={precision}"]
    config = settled(models["smollm2"], having(limit), *given, f"{memory.BUDGET}={tokens}")
    with pytest.raises(ValueError, match=f"ppo_max_token_len_per_gpu={tokens}: the run .*Leave the option out"):
        memory.check_memory(config, having(limit))
    memory.check_memory(settled(models["smollm2"], having(limit), *given), having(limit))


def test_what_the_allocator_keeps_is_bounded_by_its_threshold(models):
    kept = [
        memory.estimate(settled(models["smollm2"], having(64), *threshold)).phases["update"]["what the allocator keeps"]
        for threshold in ([], [f"{memory.TRIM_THRESHOLD}='{2**28}'"])
    ]
    assert kept[0] > kept[1] == 2**28


def test_a_whole_copy_of_the_weights_where_fsdp_keeps_it(models):
    """Else of the embedding and one of 30 layers."""
    keeping = "actor_rollout_ref.actor.fsdp_config.reshard_after_forward=False"
    part, whole = (
        memory.estimate(settled(models["smollm2"], having(64), *given)).phases["update"]["gathered weights"]
        for given in ([], [keeping])
    )
    assert whole == 4 * shape_of(models["smollm2"]).num_parameters
    assert part == pytest.approx(4 * (49152 * 576 + 3.54e6), rel=0.01)
