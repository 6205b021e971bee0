"""An adapter of random numbers on a model, which changes what it says: a new one, whose second half is zero, changes nothing."""

from pathlib import Path
from typing import Any


def with_random_adapter(base: Path, *, rank: int, alpha: int, std: float, seed: int, **options: Any) -> Any:
    """The model at ``base``, in the precision of its weights, with an adapter of peft.

    Args:
        base: A folder that transformers loads.
        rank: The adapter's r.
        alpha: Its lora_alpha.
        std: Of its numbers, in both halves.
        seed: Of the same; torch's own is left alone.
        options: Of peft's LoraConfig, such as target_modules.
    """
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(base)
    config = LoraConfig(task_type="CAUSAL_LM", r=rank, lora_alpha=alpha, **options)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        adapted = get_peft_model(model, config)
        for name, parameter in adapted.named_parameters():
            if "lora_" in name:
                torch.nn.init.normal_(parameter, std=std)
    return adapted
