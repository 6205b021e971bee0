"""How the learner gets log-probs out of a model's head: from whole logits, or in chunks of tokens; decided before Ray starts.

Chunks (``verl_ext.learner.chunked_head``) need less memory and skip what nobody reads, so they are taken wherever they give
what whole logits give.
"""

from collections.abc import Iterator
from typing import Any

from omegaconf import OmegaConf

from verl_ext.learner.plain_heads import reason_for_whole_logits
from verl_ext.training.model_file import model_config

MODEL, ACTOR = "actor_rollout_ref.model", "actor_rollout_ref.actor"
OPTION = f"{MODEL}.use_fused_kernels"
BACKEND = f"{MODEL}.fused_kernel_options.impl_backend"
CHUNKS = "torch"
"""The backend that verl_ext.patches.compute_heads_in_chunks replaces."""
OF_VERL = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen3_vl_moe", "glm4v", "qwen3_5", "qwen3_5_moe")
"""Families for which verl has a fused forward pass of its own, made for them."""


def reason_for_whole(config: Any) -> str | None:
    """Why the run's logits have to be whole: a clause; None where they need not."""
    return next(_reasons(config), None)


def _reasons(config: Any) -> Iterator[str]:
    actor = config.actor_rollout_ref.actor
    if actor.strategy not in ("fsdp", "fsdp2"):
        yield f"{ACTOR}.strategy={actor.strategy} has a head of its own"
    if actor.get("calculate_sum_pi_squared"):
        yield f"{ACTOR}.calculate_sum_pi_squared=True reads all of them"
    distillation = config.get("distillation")
    if distillation is not None and distillation.get("enabled"):
        yield "distillation.enabled=True reads the largest of them"
    content = model_config(config.actor_rollout_ref.model.path)
    if content is None:
        yield f"config.json of {config.actor_rollout_ref.model.path} cannot be looked at from here"
        return
    reason = reason_for_whole_logits(content)
    if reason is not None:
        yield reason


def choose(config: Any) -> None:
    """Replace ``null`` in ``config``, where what decides it is here."""
    if OmegaConf.select(config, OPTION) is None and model_config(config.actor_rollout_ref.model.path) is not None:
        OmegaConf.update(config, OPTION, reason_for_whole(config) is None)


def check_head(config: Any) -> None:
    """Settle what is still ``null``; a head that is to be computed in chunks is one that can be.

    Raises:
        ValueError: verl would leave out what the model does to its logits, or stop at the first batch.
    """
    choose(config)
    if OmegaConf.select(config, OPTION) is None:
        OmegaConf.update(config, OPTION, False)
    if not OmegaConf.select(config, OPTION):
        return
    content = model_config(config.actor_rollout_ref.model.path)
    if content is not None and content.get("model_type") in OF_VERL:
        return
    reason = reason_for_whole(config)
    if reason is not None and content is not None:
        raise ValueError(
            f"{OPTION}=True computes log-probs without whole logits, but {reason}. Leave the option out: null takes chunks "
            "wherever they are right."
        )


def described(config: Any) -> str:
    """Where log-probs come from, for the person who launches."""
    if OmegaConf.select(config, OPTION):
        backend = OmegaConf.select(config, BACKEND)
        if backend != CHUNKS:
            return f"log-probs: by verl's {backend} kernels ({BACKEND})"
        return f"log-probs: from hidden states in chunks, no (tokens x vocabulary) tensor ({OPTION}=False for whole logits)"
    reason = reason_for_whole(config)
    return (
        f"log-probs: from whole logits, because {reason}"
        if reason
        else f"log-probs: from whole logits ({OPTION}=False)"
    )
