"""A model with 40 tokens, adapters of peft on it, and what verl saves of it; for tests of merging."""

from verl_ext.small_model.tokenizer import build_tokenizer


def tiny_model(folder, *, is_tied):
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    sizes = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
    torch.manual_seed(0)
    config = Qwen2Config(vocab_size=40, num_key_value_heads=1, tie_word_embeddings=is_tied, **sizes)
    Qwen2ForCausalLM(config).save_pretrained(folder)
    build_tokenizer(max_length=64).save_pretrained(folder)
    return folder


def trained_adapter(base, std=0.3, **options):
    """A model of peft whose adapter, of numbers of the size ``std``, changes every answer."""
    from verl_ext.doctor.random_adapter import with_random_adapter

    return with_random_adapter(base, rank=4, alpha=12, std=std, seed=1, **options)


def logits_of(model):
    import torch

    with torch.no_grad():
        return model.eval()(torch.arange(40).view(2, 20)).logits


def assert_says_the_same(folder, model):
    """The merged folder gives the logits of the model with its adapter, and not those without."""
    import torch
    from transformers import AutoModelForCausalLM

    merged = logits_of(AutoModelForCausalLM.from_pretrained(folder))
    torch.testing.assert_close(merged, logits_of(model), rtol=1e-4, atol=1e-5)
    with model.disable_adapter():
        assert (merged - logits_of(model)).abs().max() > 0.05


def lora_shards(folder, base, model):
    """What verl saves of a run with LoRA on one rank."""
    import torch

    (folder / "huggingface").mkdir(parents=True)
    for file in base.iterdir():
        if file.suffix != ".safetensors":
            (folder / "huggingface" / file.name).write_bytes(file.read_bytes())
    (folder / "lora_train_meta.json").write_text('{"r": 4, "lora_alpha": 12}')
    torch.save(model.state_dict(), folder / "model_world_size_1_rank_0.pt")
    return folder
