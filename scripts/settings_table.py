#!/usr/bin/env python
"""Print the table of recipes/SETTINGS.md: every setting in the paper, in its released code and in our recipes.

python scripts/settings_table.py > recipes/SETTINGS.md

Our column is read from the configuration that each recipe resolves to, so it cannot drift from what runs.
"""

import json
from functools import cache
from typing import Any

from omegaconf import DictConfig, OmegaConf

from verl_ext.families import FAMILIES
from verl_ext.training.configuration import compose_config

MODELS = [family.preset for family in FAMILIES]
RECIPES = ("psr_nsr", "ppo", "grpo")
ACTOR, ROLLOUT = "actor_rollout_ref.actor", "actor_rollout_ref.rollout"

SETTINGS = (
    # option, the paper's text, its released code
    ("data.train_batch_size", "1024", "1024"),
    (f"{ROLLOUT}.n", "8", "8"),
    (f"{ACTOR}.ppo_mini_batch_size", "256", "256 prompts"),
    ("algorithm.mini_batches", "-", "whole ones and a rest, scaled by its share"),
    (f"{ACTOR}.ppo_epochs", "-", "1"),
    (f"{ACTOR}.shuffle", "-", "False"),
    ("data.max_prompt_length", "-", "1024"),
    ("data.max_response_length", "context 4,096; Qwen3 32,768", "3072; Qwen3 31744; no Llama recipe"),
    ("data.filter_overlong_prompts", "-", "True"),
    ("data.truncation", "-", "error"),
    ("data.shuffle", "-", "True"),
    ("data.seed", "-", "1"),
    ("prompt_template", "-", "raw: qwen, qwen3_no_thinking, llama"),
    (f"{ACTOR}.optim.lr", "1e-6", "1e-6"),
    (f"{ACTOR}.optim.lr_scheduler_type", "-", "constant"),
    (f"{ACTOR}.optim.lr_warmup_steps", "-", "0"),
    (f"{ACTOR}.optim.betas", "-", "0.9, 0.999"),
    (f"{ACTOR}.optim.weight_decay", "-", "0.01"),
    (f"{ACTOR}.grad_clip", "-", "1.0"),
    (f"{ACTOR}.clip_ratio", "0.2", "0.2"),
    (f"{ACTOR}.clip_ratio_c", "no dual clip", "no dual clip"),
    (f"{ACTOR}.entropy_coeff", "1e-4", "1e-3"),
    (f"{ACTOR}.policy_loss.loss_mode", "mean over a response's tokens", "token mean within each micro-batch"),
    (f"{ACTOR}.use_kl_loss", "GRPO only", "GRPO only"),
    (f"{ACTOR}.kl_loss_coef", "1e-3 (GRPO)", "0.001"),
    (f"{ACTOR}.kl_loss_type", "-", "low_var_kl"),
    ("algorithm.adv_estimator", "-", "psr_nsr; gae; grpo"),
    ("algorithm.use_kl_in_reward", "PPO only", "PPO only"),
    ("algorithm.kl_ctrl.kl_coef", "1e-3 (PPO)", "0.001; 0 for PSR and NSR"),
    ("algorithm.kl_penalty", "-", "kl (k1)"),
    ("algorithm.positive_advantage_weight", "0.1 (W-REINFORCE)", "1"),
    ("algorithm.gamma", "-", "1"),
    ("algorithm.lam", "-", "1"),
    (f"{ACTOR}.fsdp_config.model_dtype", "-", "fp32"),
    (f"{ACTOR}.fsdp_config.dtype", "-", "bfloat16"),
    ("actor_rollout_ref.model.use_remove_padding", "-", "True"),
    ("actor_rollout_ref.model.enable_gradient_checkpointing", "-", "True"),
    (f"{ACTOR}.ppo_max_token_len_per_gpu", "-", "48000"),
    (f"{ROLLOUT}.log_prob_max_token_len_per_gpu", "-", "64000"),
    (f"{ROLLOUT}.temperature", "1.0", "1.0"),
    (f"{ROLLOUT}.top_p", "-", "1"),
    (f"{ROLLOUT}.tensor_model_parallel_size", "-", "2"),
    (f"{ROLLOUT}.gpu_memory_utilization", "-", "0.7; PPO 0.5"),
    (f"{ROLLOUT}.val_kwargs.temperature", "-", "0; Qwen3 0.7"),
    (f"{ROLLOUT}.val_kwargs.top_p", "-", "1; Qwen3 0.8"),
    (f"{ROLLOUT}.val_kwargs.top_k", "-", "-1; Qwen3 20"),
    ("critic.optim.lr", "1e-5", "1e-5"),
    ("critic.ppo_mini_batch_size", "-", "256 samples: 32 updates a step"),
    ("critic.cliprange_value", "-", "0.5"),
    ("critic.grad_clip", "-", "1.0"),
    ("trainer.total_epochs", "-", "20"),
    ("trainer.test_freq", "-", "7"),
    ("trainer.save_freq", "-", "7"),
    ("trainer.n_gpus_per_node", "8 H200", "8; Qwen3 GRPO 4"),
)
CRITIC = "critic."

NOT_THE_SAME = """
What verl 0.9.1 cannot be set to:

| | released code | here |
|---|---|---|
| token mean of entropy bonus and KL loss | within each micro-batch, weighted by its samples | over the tokens of the whole mini-batch |
| samples that do not divide by the ranks | dropped at random | padded with rows that have no loss |
| PSR and NSR | old log-probs of every sample | of the samples that are kept |
| AIME and AMC in validation | string comparison | the one grader (PAPER_GRADER=True: the paper's) |

How much of it is left, on the small model (`python benchmarks/aggregation.py --model outputs/quickstart/base`, 189 wrong
responses of 1,294 tokens in 9 micro-batches): the paper's mean against verl's turns the gradient to a cosine of 0.997 and
a norm of 1.006 times verl's, which `policy_loss.loss_mode=paper` takes away.
"""


def shown(value: Any) -> str:
    if isinstance(value, float) and (value >= 1e6 or 0 < value < 1e-2):
        return f"{value:g}"
    return value if isinstance(value, str) else json.dumps(value)


@cache
def resolved(model: str, recipe: str) -> DictConfig:
    return compose_config([f"preset={model}", f"recipe={recipe}"], device="gpu")


def ours(option: str) -> str:
    """The value under each recipe: one if they agree, else by recipe, and by model where that decides."""
    values: dict[tuple[str, str], str] = {}
    for recipe in RECIPES:
        if option.startswith(CRITIC) and recipe != "ppo":
            continue
        for model in MODELS:
            value = OmegaConf.select(resolved(model, recipe), option)
            values[recipe, model] = shown(OmegaConf.to_container(value) if OmegaConf.is_config(value) else value)
    if len(set(values.values())) == 1:
        return next(iter(values.values()))
    by_recipe = {
        recipe: {values[recipe, model] for model in MODELS} for recipe in RECIPES if (recipe, MODELS[0]) in values
    }
    if all(len(found) == 1 for found in by_recipe.values()):
        return "; ".join(f"{recipe} {found.pop()}" for recipe, found in by_recipe.items())
    by_model = {model: {values[recipe, model] for recipe in by_recipe} for model in MODELS}
    return "; ".join(f"{model} {', '.join(sorted(found))}" for model, found in by_model.items())


def page() -> str:
    lines = [
        "# Settings: the paper, its released code, these recipes",
        "",
        "Made by `python scripts/settings_table.py > recipes/SETTINGS.md`; the last column is what the recipes resolve to on",
        "GPUs. - : not stated.",
        "",
        "| option | paper (arXiv:2506.01347) | released code | here |",
        "|---|---|---|---|",
        *(f"| `{option}` | {paper} | {code} | {ours(option)} |" for option, paper, code in SETTINGS),
    ]
    return "\n".join(lines) + "\n" + NOT_THE_SAME


if __name__ == "__main__":
    print(page(), end="")
