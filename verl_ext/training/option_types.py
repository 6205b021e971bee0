"""What an option may hold: by verl's own dataclasses, by its default, and by a table for what neither tells.

verl's dataclasses are read as text, because importing them takes as long as loading torch.
"""

import ast
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from verl_ext.training.guards import guard_options as guards
from verl_ext.training.option_limits import (
    ABOVE_ZERO,
    FROM_ONE,
    FROM_ZERO,
    SHARE,
    SHARE_ABOVE_ZERO,
    Kinds,
    Limit,
    kinds_in,
)
from verl_ext.training.precision_words import AUTO, OF_ENGINE, OF_LEARNER, PRECISIONS, precision_of

SIMPLE = ("bool", "int", "float", "str", "list", "dict", "None")
SPELLED = {"tuple": "list", "List": "list", "Dict": "dict", "Tuple": "list", "Sequence": "list"}
DATACLASS_FOLDERS = ("workers/config", "trainer/config")
OPEN_ENDED: Kinds = frozenset()
"""Nothing is known of the option: it may hold anything."""


ACTOR, ROLLOUT, MODEL = "actor_rollout_ref.actor", "actor_rollout_ref.rollout", "actor_rollout_ref.model"

TYPES = guards.TYPES | {
    "algorithm.drop_zero_advantage": kinds_in("bool|None"),
    "algorithm.one_pass": kinds_in("bool|None"),
    "algorithm.advantage": kinds_in("str|None"),
    "algorithm.positive_advantage_weight": kinds_in("float|int"),
    "algorithm.positive_advantage_weight_schedule": kinds_in("str|None"),
    "algorithm.positive_advantage_weight_end": kinds_in("float|int|None"),
    "algorithm.positive_advantage_weight_steps": kinds_in("int|None"),
    "algorithm.pass_at_k": kinds_in("int|None"),
    "algorithm.max_staleness_negative": kinds_in("int|None"),
    "algorithm.asymre_baseline": kinds_in("float|int|None"),
    "algorithm.cw_nsr_floor": kinds_in("float|int"),
    "algorithm.lens_alpha": kinds_in("float|int"),
    "algorithm.unlikeliness_beta": kinds_in("float|int"),
    "algorithm.noisy_grader.assumed_false_negative_rate": kinds_in("float|int|None"),
    "algorithm.noisy_grader.assumed_false_positive_rate": kinds_in("float|int|None"),
    "prompt_template": kinds_in("str|None"),
    "data.train_files": kinds_in("str|list"),
    "data.val_files": kinds_in("str|list"),
    "data.seed": kinds_in("int|None"),
    "data.gen_batch_size": kinds_in("int|None"),
    "data.val_batch_size": kinds_in("int|None"),
    "data.filter_overlong_prompts_workers": kinds_in("int|None"),
    "data.custom_cls.path": kinds_in("str|None"),
    "data.custom_cls.name": kinds_in("str|None"),
    "data.tokenizer": kinds_in("str|None"),
    "data.tool_config_path": kinds_in("str|None"),
    "data.function_tool_path": kinds_in("str|None"),
    "trainer.checkpoint_callback_class": kinds_in("str|None"),
    f"{ACTOR}.ppo_max_token_len_per_gpu": kinds_in("int|None"),
    "critic.ppo_max_token_len_per_gpu": kinds_in("int|None"),
    "ray_kwargs.ray_init.runtime_env.env_vars.VLLM_CPU_KVCACHE_SPACE": kinds_in("str|None"),
    f"{ROLLOUT}.engine_kwargs.vllm.kv_cache_memory_bytes": kinds_in("int|None"),
    f"{MODEL}.use_fused_kernels": kinds_in("bool|None"),
    f"{MODEL}.external_lib": kinds_in("str|list|None"),
    "critic.model.external_lib": kinds_in("str|list|None"),
    "actor_rollout_ref.ref.log_prob_micro_batch_size_per_gpu": kinds_in("int|None"),
    "trainer.logger": kinds_in("str|list"),
    "trainer.total_training_steps": kinds_in("int|None"),
    "trainer.max_actor_ckpt_to_keep": kinds_in("int|None"),
    "trainer.max_critic_ckpt_to_keep": kinds_in("int|None"),
    "trainer.ends_early.plateau_validations": kinds_in("int|None"),
    "trainer.ends_early.plateau_metric": kinds_in("str|None"),
    "trainer.ends_early.below_base": kinds_in("int|None"),
    "trainer.ends_early.request_file": kinds_in("str|None"),
    "trainer.pass_at_k": kinds_in("list|None"),
    "trainer.best_checkpoint.metric": kinds_in("str|None"),
    "trainer.esi_redundant_time": kinds_in("float|int"),
    "trainer.rollout_data_dir": kinds_in("str|None"),
    "trainer.rollout_data_max_mb": kinds_in("float|int|None"),
    "trainer.rollout_gap_file": kinds_in("str|None"),
    "trainer.validation_data_dir": kinds_in("str|None"),
    "trainer.default_hdfs_dir": kinds_in("str|None"),
    "trainer.resume_from_path": kinds_in("str|None"),
    "trainer.v1.colocate_async.num_warmup_batches": kinds_in("float|int"),
    "trainer.v1.separate_async.num_warmup_batches": kinds_in("float|int"),
    "trainer.v1.sampler.poll_interval": kinds_in("float|int|None"),
    "trainer.v1.sampler.max_off_policy_threshold": kinds_in("int|None"),
    "trainer.v1.sampler.custom_sampler.path": kinds_in("str|None"),
    "trainer.v1.sampler.custom_sampler.name": kinds_in("str|None"),
    "critic.enable": kinds_in("bool|None"),
    f"{ACTOR}.clip_ratio_low": kinds_in("float|int|None"),
    f"{ACTOR}.clip_ratio_high": kinds_in("float|int|None"),
    f"{ROLLOUT}.val_kwargs.do_sample": kinds_in("bool|None"),
    f"{MODEL}.target_modules": OPEN_ENDED,
    f"{MODEL}.exclude_modules": OPEN_ENDED,
    "critic.model.target_modules": OPEN_ENDED,
    "critic.model.exclude_modules": OPEN_ENDED,
    "algorithm.rollout_correction.rollout_is": kinds_in("str|None"),
    "algorithm.rollout_correction.rollout_is_threshold": OPEN_ENDED,
    "algorithm.rollout_correction.rollout_rs": kinds_in("str|None"),
    "algorithm.rollout_correction.rollout_rs_threshold": OPEN_ENDED,
}
"""What verl leaves open (its default is null, its annotation too narrow or missing), and this package's own keys."""

LIMITS = guards.LIMITS | {
    **dict.fromkeys(
        (
            *(
                f"data.{name}"
                for name in ("max_prompt_length", "max_response_length", "train_batch_size", "gen_batch_size")
            ),
            *(f"{ACTOR}.{name}" for name in ("ppo_mini_batch_size", "ppo_epochs", "ppo_max_token_len_per_gpu")),
            *(f"{ROLLOUT}.{name}" for name in ("n", "tensor_model_parallel_size", "max_num_seqs", "max_model_len")),
            *(
                f"{ROLLOUT}.{name}"
                for name in (
                    "max_num_batched_tokens",
                    "engine_kwargs.vllm.kv_cache_memory_bytes",
                    "log_prob_max_token_len_per_gpu",
                    "val_kwargs.n",
                )
            ),
            *(f"critic.{name}" for name in ("ppo_mini_batch_size", "ppo_epochs", "ppo_max_token_len_per_gpu")),
            *(f"trainer.{name}" for name in ("total_epochs", "total_training_steps", "n_gpus_per_node", "nnodes")),
            *(f"trainer.{name}" for name in ("max_actor_ckpt_to_keep", "max_critic_ckpt_to_keep")),
            *("algorithm.pass_at_k", "algorithm.positive_advantage_weight_steps"),
            "trainer.v1.sampler.max_off_policy_threshold",
            *("trainer.ends_early.plateau_validations", "trainer.ends_early.below_base"),
            *(f"{ACTOR}.ppo_micro_batch_size_per_gpu", "critic.ppo_micro_batch_size_per_gpu"),
        ),
        FROM_ONE,
    ),
    **dict.fromkeys(
        (
            *("data.seed", f"{ROLLOUT}.seed", f"{ACTOR}.data_loader_seed", "critic.data_loader_seed"),
            *("data.dataloader_num_workers", "trainer.critic_warmup", f"{MODEL}.lora_rank", f"{MODEL}.lora_alpha"),
            *(f"{ACTOR}.{name}" for name in ("clip_ratio", "clip_ratio_low", "clip_ratio_high", "kl_loss_coef")),
            *(f"{ACTOR}.optim.{name}" for name in ("lr", "weight_decay")),
            *(f"critic.optim.{name}" for name in ("lr", "weight_decay")),
            *(
                "critic.cliprange_value",
                "algorithm.positive_advantage_weight",
                "algorithm.positive_advantage_weight_end",
            ),
            *("algorithm.max_staleness_negative", "algorithm.kl_ctrl.kl_coef", f"{ROLLOUT}.val_kwargs.temperature"),
            *(f"trainer.ends_early.{name}" for name in ("plateau_min_gain", "plateau_standard_errors")),
        ),
        FROM_ZERO,
    ),
    **dict.fromkeys(
        (
            *(f"{ROLLOUT}.temperature", f"{ACTOR}.clip_ratio_c", f"{ACTOR}.grad_clip", f"{ACTOR}.optim.clip_grad"),
            *("critic.grad_clip", "critic.optim.clip_grad", "trainer.v1.sampler.poll_interval"),
            "trainer.rollout_data_max_mb",
        ),
        ABOVE_ZERO,
    ),
    **dict.fromkeys(
        (
            *("algorithm.gamma", "algorithm.lam"),
            *(f"{ACTOR}.optim.lr_warmup_steps_ratio", f"{ACTOR}.optim.min_lr_ratio"),
        ),
        SHARE,
    ),
    **dict.fromkeys(
        (f"{ROLLOUT}.top_p", f"{ROLLOUT}.val_kwargs.top_p", f"{ROLLOUT}.gpu_memory_utilization"), SHARE_ABOVE_ZERO
    ),
}

KL = ("kl", "k1", "abs", "mse", "k2", "low_var_kl", "k3", "full")
CHOICES = guards.CHOICES | {
    f"{ACTOR}.loss_agg_mode": (
        *("token-mean", "token-sum", "seq-mean-token-sum", "seq-mean-token-mean", "seq-mean-token-sum-norm"),
    ),
    f"{ACTOR}.kl_loss_type": (*KL, *(f"{name}+" for name in KL)),
    f"{ACTOR}.optim.lr_scheduler_type": ("constant", "cosine"),
    "critic.optim.lr_scheduler_type": ("constant", "cosine"),
    "algorithm.kl_penalty": (*KL, *(f"{name}+" for name in KL)),
    "algorithm.kl_ctrl.type": ("fixed", "adaptive"),
    "data.truncation": ("error", "left", "right", "middle"),
    "trainer.best_checkpoint.mode": ("max", "min"),
    "trainer.resume_mode": ("auto", "disable", "resume_path"),
    "precision": (AUTO, *PRECISIONS),
    f"{ROLLOUT}.dtype": tuple(OF_ENGINE),
    **{
        f"{engine}.{name}": tuple(OF_LEARNER)
        for engine in (f"{ACTOR}.fsdp_config", "actor_rollout_ref.ref.fsdp_config", "critic.fsdp")
        for name in ("model_dtype", "dtype", *(f"mixed_precision.{of}_dtype" for of in ("param", "reduce", "buffer")))
    },
}


# ---------------------------------------------------------------------- what verl declares


@cache
def dataclass_fields() -> dict[str, dict[str, Kinds]]:
    """Class name -> field -> kinds, for the dataclasses of verl's configuration, inherited fields included."""
    spec = find_spec("verl")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    root = Path(spec.submodule_search_locations[0])
    classes = {}
    for folder in DATACLASS_FOLDERS:
        for file in sorted((root / folder).glob("*.py")):
            for node in ast.parse(file.read_bytes()).body:
                if isinstance(node, ast.ClassDef):
                    classes[node.name] = node
    return {name: _fields(name, classes) for name in classes}


def _fields(name: str, classes: Mapping[str, ast.ClassDef]) -> dict[str, Kinds]:
    fields: dict[str, Kinds] = {}
    for base in classes[name].bases:
        if isinstance(base, ast.Name) and base.id in classes:
            fields |= _fields(base.id, classes)
    for node in classes[name].body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            fields[node.target.id] = _annotated(node.annotation)
    return fields


def _annotated(node: ast.expr) -> Kinds:
    """The kinds that an annotation allows; ``OPEN_ENDED`` where it names anything else than plain values."""
    match node:
        case ast.BinOp(op=ast.BitOr()):
            return _union([node.left, node.right])
        case ast.Subscript(value=ast.Name(id="Optional")):
            return _union([node.slice, ast.Constant(None)])
        case ast.Subscript(value=ast.Name(id="Union"), slice=ast.Tuple(elts=members)):
            return _union(members)
        case ast.Subscript(value=ast.Name(id=name)) | ast.Name(id=name):
            kind = SPELLED.get(name, name)
            return frozenset({kind}) if kind in SIMPLE else OPEN_ENDED
        case ast.Constant(value=None):
            return frozenset({"None"})
        case _:
            return OPEN_ENDED


def _union(members: list[ast.expr]) -> Kinds:
    kinds = [_annotated(member) for member in members]
    return frozenset().union(*kinds) if all(kinds) else OPEN_ENDED


# ---------------------------------------------------------------------- the options


def kind_of(value: Any) -> str:
    """The kind of a plain value."""
    return "None" if value is None else type(value).__name__


def option_kinds(defaults: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Kinds]]:
    """Yield the kinds of every option of a plain configuration that is no section."""
    declared = dataclass_fields().get(str(defaults.get("_target_", "")).rpartition(".")[2], {})
    for key, default in defaults.items():
        option = f"{prefix}{key}"
        if isinstance(default, dict) and default:
            yield from option_kinds(default, f"{option}.")
        elif option in TYPES:
            yield option, TYPES[option]
        elif (key in declared and not declared[key]) or (default is None and key not in declared):
            yield option, OPEN_ENDED
        else:
            kinds = declared.get(key, frozenset()) | {kind_of(default)}
            yield option, kinds | {"int"} if "float" in kinds else kinds


def fault(option: str, value: Any, kinds: Kinds) -> str | None:
    """What is wrong with the value of an option; None when nothing is."""
    limit, choices = LIMITS.get(option), CHOICES.get(option)
    if kinds and kind_of(value) not in kinds:
        return f"{option} must be {_described(kinds, limit)}, got {value}."
    if value is None:
        return None
    if choices is not None and value not in choices:
        return f"{option} must be one of {', '.join(choices)}, got {value}.{_nearest(str(value), choices)}"
    if limit is not None and not limit.holds(value):
        return f"{option} must be {_described(kinds, limit)}, got {value}."
    return None


def _nearest(value: str, choices: Sequence[str]) -> str:
    """The choice that was meant, where one is near."""
    same = precision_of(value)
    near = [same] if same in choices else get_close_matches(value, choices, n=1)
    return f" Did you mean {near[0]}?" if near else ""


def _described(kinds: Kinds, limit: Limit | None) -> str:
    number = "a number" if "float" in kinds else "a whole number" if "int" in kinds else ""
    names = [
        "True or False" if "bool" in kinds else "",
        f"{number} {limit}" if number and limit is not None else number,
        "a text" if "str" in kinds else "",
        "a list" if "list" in kinds else "",
        "a section of options" if "dict" in kinds else "",
        "null" if "None" in kinds else "",
    ]
    return " or ".join(name for name in names if name)


def is_text(kinds: Kinds) -> bool:
    """Whether the option holds a text and nothing else, so that whatever is typed is meant as one."""
    return "str" in kinds and kinds <= {"str", "None"}
