"""The arguments of the published launchers of a Countdown and a MATH study, in the options of this package's launcher.

They are ``experiment.py`` and ``MATH_experiment.py`` of huyxdang/NPR-Implementation-MathCountdown. The defaults are the first
one's. A batch of theirs counts samples; the launcher's counts prompts.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from verl_ext.host.command_line import CommandParser
from verl_ext.training.option_file import as_overrides

ROLLOUT, ACTOR = "actor_rollout_ref.rollout", "actor_rollout_ref.actor"
OBJECTIVES = {"NSR": "nsr", "PSR": "psr", "W_REINFORCE": "w_reinforce", "RLVR": "grpo"}
LOSSES = {"standard": "seq-mean-token-mean", "length_normalized": "seq-mean-token-sum-norm"}
DEVICES = {"cuda": "gpu", "cpu": "cpu"}
ALWAYS: Mapping[str, Any] = {
    "algorithm.loss_normalizer": "all",
    f"{ROLLOUT}.top_p": 1.0,
    f"{ROLLOUT}.val_kwargs.n": 1,
    f"{ROLLOUT}.max_model_len": 2048,
    f"{ACTOR}.clip_ratio_c": 1e9,
    f"{ACTOR}.grad_clip": 1.0,
    f"{ACTOR}.optim.betas": [0.9, 0.95],
    f"{ACTOR}.optim.weight_decay": 0.01,
    f"{ACTOR}.optim.lr_scheduler_type": "constant",
    "trainer.val_before_train": True,
    "trainer.n_gpus_per_node": 1,
    "trainer.nnodes": 1,
}
"""What they set without an argument: a loss over the whole batch, whatever their filter has left of it, AdamW, its clipping, no dual
clip, an evaluation before the first step, one device."""


@dataclass(frozen=True)
class Argument:
    """One of theirs."""

    name: str
    default: Any
    options: tuple[str, ...]
    """What it sets."""
    note: str = ""
    """Where the value is not simply that of the options."""
    choices: tuple[str, ...] = ()
    alias: str = ""

    @property
    def kind(self) -> type:
        return str if self.default is None else type(self.default)


ARGUMENTS = (
    Argument("objective", "NSR", ("algorithm.adv_estimator",), "NSR: nsr, PSR: psr, W_REINFORCE: w_reinforce, RLVR: grpo", tuple(OBJECTIVES)),
    Argument("model_id", "Qwen/Qwen3-1.7B", ("actor_rollout_ref.model.path",)),
    Argument("max_tokens", 256, ("data.max_response_length",)),
    Argument("lambda_psr", 0.1, ("algorithm.positive_advantage_weight",)),
    Argument("rollout_batch_size", 128, ("data.train_batch_size", f"{ACTOR}.ppo_mini_batch_size"), "samples there, prompts here: divided by the group size; one update a step"),
    Argument("group_size", 8, (f"{ROLLOUT}.n",), "the MATH launcher's name: rollouts_per_prompt", alias="rollouts_per_prompt"),
    Argument("grad_acc_steps", 0, (f"{ACTOR}.use_dynamic_bsz", f"{ACTOR}.ppo_micro_batch_size_per_gpu", f"{ROLLOUT}.log_prob_micro_batch_size_per_gpu"), "so many passes of equal size for an update; not given: passes by tokens, the same update"),
    Argument("n_train_steps", 110, ("trainer.total_training_steps", "trainer.total_epochs", "trainer.save_freq"), "saved at the end; so many epochs are enough for so many steps"),
    Argument("lr", 3e-6, (f"{ACTOR}.optim.lr",)),
    Argument("clip_range", 0.2, (f"{ACTOR}.clip_ratio", f"{ACTOR}.clip_ratio_low", f"{ACTOR}.clip_ratio_high")),
    Argument("temperature", 0.7, (f"{ROLLOUT}.temperature", f"{ROLLOUT}.val_kwargs.temperature")),
    Argument("eval_every", 10, ("trainer.test_freq",)),
    Argument("gpu_mem_util", 0.4, (f"{ROLLOUT}.gpu_memory_utilization",)),
    Argument("loss_type", "standard", (f"{ACTOR}.loss_agg_mode", f"{ACTOR}.loss_scale_factor", "algorithm.norm_adv_by_std_in_grpo"), "standard: seq-mean-token-mean; length_normalized: seq-mean-token-sum-norm by max_tokens, and RLVR without the standard deviation", tuple(LOSSES)),
    Argument("group_normalize", False, ("algorithm.group_normalize",), "a flag, not one of theirs: in the whole group, before the filter; RLVR always does"),
    Argument("seed", 42, ("data.seed", f"{ROLLOUT}.seed", f"{ACTOR}.data_loader_seed")),
    Argument("exp_name", None, ("trainer.experiment_name",), "not given: OBJECTIVE_tokensN, with W_REINFORCE also _lambdaX"),
    Argument("output_dir", "./output", ("trainer.output_dir",), "a folder of the experiment's name below it"),
    Argument("device", None, ("device",), "cuda: gpu, cpu: cpu; not given: what is visible", tuple(DEVICES)),
)  # fmt: skip


def launcher_options(arguments: Sequence[str]) -> list[str]:
    """The launcher's overrides for a command line of theirs; name=value options in it come last, so that they win.

    Raises:
        ValueError: An argument is unknown, or a value does not fit another.
    """
    given, others = _parser().parse_known_args(arguments)
    for word in others:
        if word.startswith("-") or "=" not in word:
            raise ValueError(
                f"{word} is no argument of experiment. There are {', '.join('--' + each.name for each in ARGUMENTS)}; options "
                "of the launcher are written name=value."
            )
    _check(given)
    return [*as_overrides(_options(given)), *others]


def _parser() -> CommandParser:
    parser = CommandParser(add_help=False, allow_abbrev=False)
    for each in ARGUMENTS:
        names = [f"--{name}" for name in (each.name, each.alias) if name]
        if each.kind is bool:
            parser.add_argument(*names, action="store_true")
        else:
            parser.add_argument(
                *names, dest=each.name, type=each.kind, default=each.default, choices=each.choices or None
            )
    return parser


def _check(given: argparse.Namespace) -> None:
    if given.rollout_batch_size < 1 or given.group_size < 1 or given.rollout_batch_size % given.group_size:
        raise ValueError(
            f"--rollout_batch_size={given.rollout_batch_size} counts samples and must be a multiple of "
            f"--group_size={given.group_size}."
        )
    if given.grad_acc_steps and (given.grad_acc_steps < 0 or given.rollout_batch_size % given.grad_acc_steps):
        raise ValueError(
            f"--rollout_batch_size={given.rollout_batch_size} must be a multiple of --grad_acc_steps={given.grad_acc_steps}."
        )


def _options(given: argparse.Namespace) -> dict[str, Any]:
    num_prompts = given.rollout_batch_size // given.group_size
    is_standard = given.loss_type == "standard"
    name = given.exp_name or _experiment_name(given)
    values: dict[str, Sequence[Any]] = {
        "objective": [OBJECTIVES[given.objective]],
        "rollout_batch_size": [num_prompts] * 2,
        "grad_acc_steps": [],
        "loss_type": [LOSSES[given.loss_type], None if is_standard else given.max_tokens, is_standard],
        "exp_name": [name],
        "output_dir": [f"{given.output_dir}/{name}"],
        "device": [],
        "group_normalize": [given.group_normalize and given.objective != "RLVR"],
    }
    if given.grad_acc_steps:
        values["grad_acc_steps"] = [False, *[given.rollout_batch_size // given.grad_acc_steps] * 2]
    if given.device is not None:
        values["device"] = [DEVICES[given.device]]
    options: dict[str, Any] = dict(ALWAYS)
    for each in ARGUMENTS:
        of_argument = values.get(each.name, [getattr(given, each.name)] * len(each.options))
        options |= dict(zip(each.options, of_argument, strict=False))
    return options


def _experiment_name(given: argparse.Namespace) -> str:
    name = f"{given.objective}_tokens{given.max_tokens}"
    return f"{name}_lambda{given.lambda_psr}" if given.objective == "W_REINFORCE" else name


def described() -> str:
    """The arguments for a terminal, each with the options that it sets."""
    lines = ["arguments of experiment, with what they set:"]
    for each in ARGUMENTS:
        names = ", ".join(f"--{name}" for name in (each.name, each.alias) if name)
        default = "" if each.default in (None, 0, False) else f" (default: {each.default})"
        lines.append(f"  {names}{default}: {', '.join(each.options)}")
    return "\n".join(lines)


def table() -> str:
    """The arguments in Markdown, as docs/studies.md has them."""
    lines = ["| argument | default | option | |", "|---|---|---|---|"]
    for each in ARGUMENTS:
        names = ", ".join(f"`--{name}`" for name in (each.name, each.alias) if name)
        default = "" if each.default in (None, 0, False) else f"`{each.default}`"
        options = ", ".join(f"`{option}`" for option in each.options)
        lines.append(f"| {names} | {default} | {options} | {each.note} |")
    return "\n".join(lines) + "\n"
