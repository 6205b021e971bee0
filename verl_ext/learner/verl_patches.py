"""Changes to verl's learner from outside, on every device; written for verl 0.9.1.

``tests/learner/test_verl_patches.py`` fails when one is no longer needed.
"""

from typing import Any

from verl_ext.learner.token_statistics import token_entropy, token_log_probs


def compute_token_statistics_in_float32(transformer_impl: Any) -> None:
    """Log-probs and entropy by ``verl_ext.learner.token_statistics`` (``verl.workers.engine.fsdp.transformer_impl``).

    The engine names verl's functions itself. Without flash-attn's cross-entropy kernel verl computes log-probs a row at a
    time, in bfloat16 where the logits are; the kernel, where it is there, computes in float32 and stays. The entropy
    is in the logits' type with and without it.
    """
    torch_functional = transformer_impl.verl_F
    if not (
        torch_functional.FLAH_ATTN_CROSS_ENTROPY_LOSS_AVAILABLE or torch_functional.NPU_CROSS_ENTROPY_LOSS_AVAILABLE
    ):
        torch_functional.logprobs_from_logits = token_log_probs
        transformer_impl.logprobs_from_logits = token_log_probs
    torch_functional.entropy_from_logits = token_entropy


def load_value_model_as_configured() -> None:
    """Load a critic with the attention that its configuration names (``verl.utils.model``).

    verl asks for flash_attention_2 there whatever the configuration says, and when that fails reports that trl is
    missing. A model that transformers cannot give a value head is refused by transformers, by name.
    """
    import verl.utils.model

    def load_valuehead_model(local_path: str, torch_dtype: Any, model_config: Any, trust_remote_code: bool) -> Any:
        from transformers import AutoModelForTokenClassification

        return AutoModelForTokenClassification.from_pretrained(
            local_path,
            dtype=torch_dtype,
            config=model_config,
            attn_implementation=model_config._attn_implementation,
            trust_remote_code=trust_remote_code,
        )

    verl.utils.model.load_valuehead_model = load_valuehead_model
