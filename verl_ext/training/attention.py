"""Which attention the actor, the reference model and the critic are loaded with; decided before Ray starts.

``attn_implementation=auto`` takes flash-attn where it is installed, and otherwise PyTorch's own kernel of it
(``verl_ext.learner.packed_attention``), which needs nothing more. On a CPU the actor's also shares prompts
(``verl_ext.learner.shared_prompts``).
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any

from omegaconf import OmegaConf

AUTO = "auto"
PACKED = "packed_sdpa"
SHARED = "shared_prompts_sdpa"
FLASH = "flash_attention_2"
PACKAGES = {
    "flash_attention_2": "flash_attn",
    "flash_attention_3": "flash_attn_interface",
    "flash_attention_4": "flash_attn.cute",
}
"""The package behind each of transformers' names."""
MODELS = ("actor_rollout_ref.model", "critic.model")
OPTION = "override_config.attn_implementation"
SEQUENCE_PARALLEL = {
    MODELS[0]: (
        "actor_rollout_ref.actor.ulysses_sequence_parallel_size",
        "actor_rollout_ref.actor.fsdp_config.ulysses_sequence_parallel_size",
        "actor_rollout_ref.ref.ulysses_sequence_parallel_size",
    ),
    MODELS[1]: ("critic.ulysses_sequence_parallel_size", "critic.fsdp.ulysses_sequence_parallel_size"),
}
"""The options that split a row between ranks, by the model they split."""


def import_error(package: str) -> str | None:
    """Why ``package`` cannot be imported, or None. A build for another torch or CUDA shows only then."""
    try:
        import_module(package)
    except (ImportError, OSError) as error:
        return f"{type(error).__name__}: {error}"
    return None


def choose(config: Any, import_error: Callable[[str], str | None] = import_error) -> None:
    """Replace ``auto`` in ``config`` by the fastest attention that can be imported here."""
    for model in MODELS:
        option = f"{model}.{OPTION}"
        if OmegaConf.select(config, option) == AUTO:
            OmegaConf.update(config, option, _fastest(config, model, import_error))


def _fastest(config: Any, model: str, import_error: Callable[[str], str | None]) -> str:
    if config.trainer.device == "cpu":
        return SHARED if model == MODELS[0] else PACKED
    return FLASH if import_error(PACKAGES[FLASH]) is None else PACKED


def described(config: Any) -> str:
    """What the actor attends with, for the person who launches."""
    name = OmegaConf.select(config, f"{MODELS[0]}.{OPTION}")
    if name == SHARED:
        if config.actor_rollout_ref.model.use_fused_kernels:
            return f"attention: {name}, a prompt is computed once for its samples ({OPTION}={PACKED}: for each)"
        return f"attention: {name}; prompts are not shared, for log-probs come from whole logits"
    if name != PACKED:
        return f"attention: {name}"
    if config.trainer.device == "cpu":
        return f"attention: {name}, PyTorch's own"
    return f"attention: {name}, PyTorch's own FlashAttention kernel (flash-attn is not installed, or was not asked for)"


def check_attention(config: Any, import_error: Callable[[str], str | None] = import_error) -> None:
    """Each attention that is named can be imported here, and does what is asked of it.

    Raises:
        ValueError: It cannot, or sequence parallelism is asked of one that has none.
    """
    for model in MODELS:
        name = OmegaConf.select(config, f"{model}.{OPTION}")
        if name == SHARED and config.trainer.device != "cpu":
            raise ValueError(f"{model}.{OPTION}={name} is for CPUs (device=cpu). Leave the option at {AUTO}.")
        package = PACKAGES.get(name)
        error = package and import_error(package)
        if error:
            raise ValueError(
                f"{model}.{OPTION}={name} needs the package {package}, which cannot be imported here ({error}). "
                f"Leave the option at {AUTO}, or install it: FLASH_ATTN=1 bash scripts/install.sh --gpu."
            )
        for parallel in SEQUENCE_PARALLEL[model]:
            size = OmegaConf.select(config, parallel) or 1
            if size > 1 and name not in PACKAGES:
                raise ValueError(
                    f"{parallel}={size} splits rows between ranks, which verl does with flash-attn only, and "
                    f"{model}.{OPTION} is {name}. Install flash-attn (FLASH_ATTN=1 bash scripts/install.sh --gpu), or "
                    "set the size to 1."
                )
