"""An option that nobody reads is refused with the one that works; the usual names of others are passed on."""

import ast
import os
from functools import cache
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from verl_ext.families import FAMILIES
from verl_ext.training.checks.dead_options import DEAD, FOLLOWERS, check_dead_options
from verl_ext.training.checks.micro_batches import check_micro_batches
from verl_ext.training.configuration import compose_config, verl_config_dir

ACTOR, ROLLOUT, REF = (f"actor_rollout_ref.{name}" for name in ("actor", "rollout", "ref"))


@pytest.mark.parametrize("device", ["cpu", "gpu"])
@pytest.mark.parametrize("preset", ["none", *(family.preset for family in FAMILIES)])
@pytest.mark.parametrize("recipe", ["none", "psr_nsr", "ppo", "grpo"])
def test_what_we_set_ourselves_passes(device, preset, recipe):
    config = compose_config([f"preset={preset}", f"recipe={recipe}"], device=device)
    check_dead_options(config)
    check_micro_batches(config)


def another(value):
    """A value of the same kind that is not ``value``."""
    if isinstance(value, list):
        return "[x]"
    return str(not value) if isinstance(value, bool) else "fsdp2" if isinstance(value, str) else (value or 0) + 7


@pytest.mark.parametrize("dead", DEAD, ids=lambda dead: dead.option)
def test_a_dead_option_is_refused_with_the_way_out(dead):
    option = f"{dead.option}.rollout.name" if dead.option == "reward_model" else dead.option
    config = compose_config([f"{option}={another(dead.unset)}"], device="gpu")
    with pytest.raises(ValueError, match=rf"^{option}=.* would be ignored: verl does not read it\. "):
        check_dead_options(config)
    instead = [word.strip(".") for word in dead.instead.split() if "." in word.strip(".")]
    for name in instead:  # the option that is named instead is one
        section, _, key = name.rpartition(".")
        assert key in OmegaConf.select(compose_config([], device="gpu"), section), name


@pytest.mark.parametrize("device", ["cpu", "gpu"])
@pytest.mark.parametrize(
    ("option", "value", "read"),
    [
        (f"{ACTOR}.grad_clip", 0.1, f"{ACTOR}.optim.clip_grad"),
        ("critic.grad_clip", 0.1, "critic.optim.clip_grad"),
        ("critic.ppo_max_token_len_per_gpu", 48000, "critic.ppo_infer_max_token_len_per_gpu"),
        (f"{ACTOR}.use_dynamic_bsz", False, "critic.fsdp.use_dynamic_bsz"),
        ("critic.ppo_micro_batch_size_per_gpu", 3, "critic.fsdp.micro_batch_size_per_gpu"),
        ("critic.ulysses_sequence_parallel_size", 2, "critic.fsdp.ulysses_sequence_parallel_size"),
        (f"{ACTOR}.use_torch_compile", True, f"{REF}.fsdp_config.use_torch_compile"),
    ],
)
def test_the_usual_name_is_passed_on(device, option, value, read):
    assert OmegaConf.select(compose_config([f"{option}={value}"], device=device), read) == value


@pytest.mark.parametrize("device", ["cpu", "gpu"])
@pytest.mark.parametrize("section", [ACTOR, REF])
def test_what_verl_reads_may_be_set_itself(device, section):
    check_dead_options(compose_config([f"{section}.fsdp_config.use_torch_compile=True"], device=device))


@pytest.mark.parametrize("device", ["cpu", "gpu"])
@pytest.mark.parametrize(("usual", "unset"), [(usual, unset) for usual, unset, _ in FOLLOWERS])
def test_the_value_of_a_usual_name_that_nobody_has_set(device, usual, unset):
    """Otherwise a run that sets what verl reads would be told off for an option that it has not set.

    On a CPU the precision follows the processor, and the check lets it be.
    """
    config = compose_config([], device=device)
    assert OmegaConf.select(config, usual) in (unset, None, config.get("precision"))


def test_the_precision_is_passed_on():
    for section in (f"{ACTOR}.fsdp_config", f"{REF}.fsdp_config", "critic.fsdp"):
        config = compose_config([f"{section}.dtype=float16"], device="gpu")
        assert OmegaConf.select(config, section).mixed_precision.param_dtype == "float16"


def test_two_names_with_two_values_are_refused():
    with pytest.raises(
        ValueError, match=r"grad_clip=0\.5 would be ignored, because verl reads .*optim\.clip_grad=2\.0"
    ):
        check_dead_options(compose_config([f"{ACTOR}.grad_clip=0.5", f"{ACTOR}.optim.clip_grad=2.0"], device="gpu"))
    check_dead_options(compose_config([f"{ACTOR}.optim.clip_grad=2.0"], device="gpu"))
    both = [f"{ACTOR}.fsdp_config.dtype=float16", f"{ACTOR}.fsdp_config.mixed_precision.param_dtype=fp32"]
    with pytest.raises(ValueError, match=r"dtype=float16 would be ignored"):
        check_dead_options(compose_config(both, device="cpu"))


@pytest.mark.parametrize(
    ("do_sample", "temperature", "is_fine"),
    [(True, 0.7, True), (False, 0, True), (True, 0, False), (False, 0.7, False)],
)
def test_greedy_validation_is_what_the_temperature_says(do_sample, temperature, is_fine):
    options = [f"{ROLLOUT}.val_kwargs.do_sample={do_sample}", f"{ROLLOUT}.val_kwargs.temperature={temperature}"]
    config = compose_config(options, device="gpu")
    if is_fine:
        check_dead_options(config)
    else:
        with pytest.raises(ValueError, match=r"do_sample=.* would be ignored: verl reads .*val_kwargs\.temperature"):
            check_dead_options(config)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([f"{ACTOR}.use_dynamic_bsz=False"], "ppo_micro_batch_size_per_gpu"),
        (
            [f"{ACTOR}.use_dynamic_bsz=False", f"{ACTOR}.ppo_micro_batch_size_per_gpu=4"],
            "log_prob_micro_batch_size_per_gpu",
        ),
        (
            [f"{ACTOR}.ppo_micro_batch_size_per_gpu=4"],
            r"ppo_micro_batch_size_per_gpu=4 would be ignored, because .*use_dynamic_bsz=True",
        ),
        ([f"{ROLLOUT}.log_prob_use_dynamic_bsz=False"], "verl needs both to be the same"),
        (
            ["data.max_response_length=20000"],
            r"= 20512 tokens, more than .*ppo_max_token_len_per_gpu=16384: such a row fits no",
        ),
        (
            ["algorithm.adv_estimator=gae", "critic.ppo_max_token_len_per_gpu=1000"],
            r"critic\.ppo_max_token_len_per_gpu=1000",
        ),
        (
            [f"{ACTOR}.use_kl_loss=True", f"{REF}.log_prob_max_token_len_per_gpu=1000"],
            r"ref\.log_prob_max_token_len_per_gpu=1000",
        ),
    ],
)
def test_micro_batches(options, message):
    with pytest.raises(ValueError, match=message):
        check_micro_batches(compose_config(options, device="gpu"))


def test_what_no_pass_uses_is_not_asked_for():
    check_micro_batches(
        compose_config(["critic.ppo_max_token_len_per_gpu=1", f"{REF}.log_prob_max_token_len_per_gpu=1"], device="gpu")
    )
    sizes = [
        f"{ACTOR}.use_dynamic_bsz=False",
        f"{ACTOR}.ppo_micro_batch_size_per_gpu=4",
        f"{ROLLOUT}.log_prob_micro_batch_size_per_gpu=4",
    ]
    check_micro_batches(compose_config(sizes, device="gpu"))


# ------------------------------------------------------------------ verl still does not read them

OF_OTHER_ENGINES = ("megatron", "mindspeed", "veomni", "torchtitan", "automodel", "sglang", "trtllm")
OF_OTHER_TRAINERS = (
    "main_ppo_v0",
    "ray_trainer",
    "tinker",
    "sft",
    "separate_async",
    "colocate_async",
    "workers/rollout/hf_rollout",
)
DECLARATIONS = ("workers/config/", "trainer/config/", "utils/config.py")
"""Where fields are declared, copied and compared with each other, which is no use of them."""
COMMON_WORDS = frozenset(
    {"log_prob_micro_batch_size"}  # renamed to ppo_micro_batch_size, which nobody reads either
    | {
        "path",
        "name",
        "url",
        "rank",
        "alpha",
        "dropout",
        "strategy",
        "do_sample",
        "exclude_modules",
        "adapter_path",
        "num_workers",
    }
    | {
        "max_concurrent",
        "memory_limit_mb",
        "reward_manager",
        "reward_model",
        "use_torch_compile",
        "dtype",
        "use_dynamic_bsz",
    }
    | {
        "ulysses_sequence_parallel_size",
        "ppo_micro_batch_size_per_gpu",
        "ppo_max_token_len_per_gpu",
        "calculate_sum_pi_squared",
    }
    | {"reward_loop_source", "reward_loop_module_path", "reward_loop_class_name", "max_num_gen_batches"}
)
"""Last parts that other options share, or that migrate_legacy_reward_impl (which V1 never calls) and warnings mention;
``tests/recipes/test_rehearsal.py`` looks at what a run really reads."""


@cache
def words_read() -> dict[str, str]:
    """Every attribute and string key that verl's own code for a V1 run with FSDP2 and vLLM reads, with a file that does."""
    found = {}
    root = verl_config_dir().parents[1]
    for folder, _, names in os.walk(root):
        for path in (Path(folder, name) for name in names if name.endswith(".py")):
            relative = str(path.relative_to(root))
            if any(part in relative for part in (*OF_OTHER_ENGINES, *OF_OTHER_TRAINERS, *DECLARATIONS)):
                continue
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                    found[node.attr] = relative
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found[node.value] = relative
    return found


@pytest.mark.parametrize("option", sorted({dead.option for dead in DEAD} | {usual for usual, _, _ in FOLLOWERS}))
def test_verl_still_does_not_read_it(option):
    word = option.rpartition(".")[2]
    if word not in COMMON_WORDS:
        assert word not in words_read(), f"verl's {words_read()[word]} reads {option}: it is not dead any more"


def test_the_scan_finds_what_is_read():
    assert {"clip_grad", "max_token_len_per_gpu", "mixed_precision", "micro_batch_size_per_gpu"} <= set(words_read())
