"""What each worker of each recipe is configured with, as verl builds it, on 1, 2 and 8 GPUs and on 2 nodes."""

import pytest
from omegaconf import OmegaConf

from tests.recipes.verl_workers import Workers
from verl_ext.families import FAMILIES
from verl_ext.small_model.architecture import Architecture, random_weights
from verl_ext.small_model.tokenizer import build_tokenizer
from verl_ext.training.checks.machine import check_ranks
from verl_ext.training.configuration import compose_config

MODELS = [family.preset for family in FAMILIES]
RECIPES = ("psr_nsr", "ppo", "grpo")
MACHINES = {"1 GPU": (1, 1), "2 GPUs": (2, 1), "8 GPUs": (8, 1), "2 nodes": (8, 2)}
ACTOR, ROLLOUT, REF = (f"actor_rollout_ref.{name}" for name in ("actor", "rollout", "ref"))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    tokenizer = build_tokenizer(max_length=64)
    sizes = {"hidden_size": 32, "num_layers": 1, "num_heads": 1, "num_key_value_heads": 1, "intermediate_size": 16}
    random_weights(Architecture(**sizes, max_length=64), tokenizer, seed=0).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def composed(model, *options):
    return compose_config([*options, f"actor_rollout_ref.model.path={model}"], device="gpu")


def of_an_engine(section, engine_section, worker):
    """Where the options of one model's engine arrive."""
    engine, optimizer = worker.config.engine_config, worker.config.optimizer_config
    yield f"{section}.strategy", engine.strategy
    yield f"{engine_section}.dtype", engine.mixed_precision["param_dtype"]
    for name in ("model_dtype", "param_offload", "optimizer_offload"):
        yield f"{engine_section}.{name}", getattr(engine, name)
    if section == REF:
        yield f"{REF}.log_prob_use_dynamic_bsz", engine.use_dynamic_bsz
        yield f"{REF}.log_prob_max_token_len_per_gpu", engine.infer_max_token_len_per_gpu
        return
    yield f"{section}.use_dynamic_bsz", engine.use_dynamic_bsz
    yield f"{section}.ppo_max_token_len_per_gpu", engine.max_token_len_per_gpu
    yield f"{section}.ppo_micro_batch_size_per_gpu", engine.micro_batch_size_per_gpu
    yield f"{section}.grad_clip", optimizer.clip_grad
    for name in ("lr", "lr_scheduler_type", "lr_warmup_steps", "weight_decay", "betas"):
        yield f"{section}.optim.{name}", getattr(optimizer, name)


def of_a_model(section, worker):
    """Where the options of a model arrive."""
    model = worker.config.model_config
    for name in ("use_remove_padding", "enable_gradient_checkpointing", "custom_chat_template"):
        yield f"{section}.{name}", getattr(model, name)
    # transformers' own name for what override_config puts there
    yield f"{section}.override_config.attn_implementation", model.hf_config._attn_implementation


def of_the_losses(workers):
    """Where the options of the actor's and of the critic's loss arrive."""
    actor = workers.actor.loss_fn.keywords["config"]
    for name in ("clip_ratio", "clip_ratio_low", "clip_ratio_high", "clip_ratio_c", "entropy_coeff", "loss_agg_mode"):
        yield f"{ACTOR}.{name}", getattr(actor, name)
    yield f"{ACTOR}.policy_loss.loss_mode", actor.policy_loss.loss_mode
    for name in ("use_kl_loss", "kl_loss_coef", "kl_loss_type"):
        yield f"{ACTOR}.{name}", getattr(actor, name)
    if workers.critic is not None:
        yield "critic.cliprange_value", workers.critic.loss_fn.keywords["config"].cliprange_value


def of_the_rollout(workers):
    """Where the options of sampling and of log-probs arrive."""
    yield f"{ROLLOUT}.log_prob_max_token_len_per_gpu", workers.actor.config.engine_config.infer_max_token_len_per_gpu
    if workers.critic is not None:
        length = workers.critic.config.engine_config.infer_max_token_len_per_gpu
        yield "critic.ppo_infer_max_token_len_per_gpu", length
    for name in ("n", "temperature", "top_p", "top_k", "tensor_model_parallel_size", "gpu_memory_utilization", "dtype"):
        yield f"{ROLLOUT}.{name}", getattr(workers.rollout, name)
    for name in ("temperature", "top_p", "top_k", "n"):
        yield f"{ROLLOUT}.val_kwargs.{name}", getattr(workers.rollout.val_kwargs, name)


def arrived(workers):
    """Where each option that verl's engines know under another name arrives: option -> the value that the engine has."""
    found = dict(
        [*of_the_losses(workers), *of_the_rollout(workers), *of_a_model("actor_rollout_ref.model", workers.actor)]
    )
    found |= dict(of_an_engine(ACTOR, f"{ACTOR}.fsdp_config", workers.actor))
    if workers.ref is not None:
        found |= dict(of_an_engine(REF, f"{REF}.fsdp_config", workers.ref))
    if workers.critic is not None:
        found |= dict(of_an_engine("critic", "critic.fsdp", workers.critic))
        found |= dict(of_a_model("critic.model", workers.critic))
    return found


def assert_everything_arrives(workers, config):
    for option, value in arrived(workers).items():
        given = OmegaConf.select(config, option)
        given = OmegaConf.to_container(given) if OmegaConf.is_config(given) else given
        assert (list(value) if isinstance(given, list) else value) == given, option


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("preset", MODELS)
def test_every_worker_gets_what_the_recipe_says(model, preset, recipe, machine):
    per_node, nodes = MACHINES[machine]
    options = [f"preset={preset}", f"recipe={recipe}", f"trainer.n_gpus_per_node={per_node}", f"trainer.nnodes={nodes}"]
    if per_node == 1:
        options.append(f"{ROLLOUT}.tensor_model_parallel_size=1")
    if recipe == "psr_nsr":
        options.append("algorithm.advantage=negative")
    config = composed(model, *options)
    workers = Workers(config)
    assert_everything_arrives(workers, config)
    assert (workers.critic is not None) == (recipe == "ppo")
    assert (workers.ref is not None) == (recipe in ("ppo", "grpo"))
    for worker in (workers.actor, workers.ref, workers.critic):
        if worker is not None:
            assert worker.config.engine_config.strategy == "fsdp2"
            assert worker.config.engine_config.use_dynamic_bsz
    limit = workers.critic.config.engine_config.max_token_len_per_gpu if workers.critic else 48000
    assert limit == 48000


ODD = {
    f"{ACTOR}.grad_clip": 0.1,
    f"{ACTOR}.fsdp_config.dtype": "float16",
    f"{ACTOR}.fsdp_config.param_offload": True,
    f"{ACTOR}.fsdp_config.optimizer_offload": True,
    f"{ACTOR}.ppo_max_token_len_per_gpu": 40001,
    f"{ACTOR}.clip_ratio_c": 7.0,
    f"{ACTOR}.optim.lr_warmup_steps": 3,
    f"{ACTOR}.optim.betas": [0.8, 0.95],
    f"{REF}.fsdp_config.dtype": "float32",
    f"{REF}.log_prob_max_token_len_per_gpu": 40002,
    f"{ROLLOUT}.log_prob_max_token_len_per_gpu": 40003,
    f"{ROLLOUT}.val_kwargs.temperature": 0.3,
    "critic.grad_clip": 0.2,
    "critic.fsdp.dtype": "float32",
    "critic.fsdp.optimizer_offload": True,
    "critic.ppo_max_token_len_per_gpu": 40004,
    "critic.optim.weight_decay": 0.5,
    "critic.cliprange_value": 0.25,
    "critic.model.enable_gradient_checkpointing": False,
}


def test_other_values_arrive_too(model):
    """Not only verl's defaults, which arrive whether anybody passes them on or not."""
    given = [f"{option}={value}" for option, value in ODD.items()]
    config = composed(model, "preset=qwen2.5-math-7b", "recipe=ppo", "trainer.n_gpus_per_node=2", *given)
    workers = Workers(config)
    assert_everything_arrives(workers, config)
    assert set(ODD) <= set(arrived(workers))


def test_rows_instead_of_tokens_arrive_too(model):
    sizes = [f"{ACTOR}.use_dynamic_bsz=False", f"{ACTOR}.ppo_micro_batch_size_per_gpu=2"]
    sizes += [f"{ROLLOUT}.log_prob_micro_batch_size_per_gpu=2", f"{REF}.log_prob_micro_batch_size_per_gpu=2"]
    sizes += ["critic.ppo_micro_batch_size_per_gpu=4"]
    config = composed(model, "preset=qwen2.5-math-7b", "recipe=ppo", "trainer.n_gpus_per_node=2", *sizes)
    workers = Workers(config)
    assert_everything_arrives(workers, config)
    assert workers.critic.config.engine_config.infer_micro_batch_size_per_gpu == 4
    assert not workers.critic.config.engine_config.use_dynamic_bsz


@pytest.mark.parametrize("num_gpus", [1, 2, 8])
def test_the_readmes_train_command(model, num_gpus):
    """A plain launch with nothing but a model and data, on any number of GPUs."""
    options = [
        "algorithm.adv_estimator=nsr",
        "data.train_batch_size=32",
        f"{ROLLOUT}.n=16",
        f"{ACTOR}.ppo_mini_batch_size=32",
    ]
    config = composed(model, *options, f"trainer.n_gpus_per_node={num_gpus}")
    workers = Workers(config)
    assert_everything_arrives(workers, config)
    assert workers.actor.config.engine_config.strategy == "fsdp2"


def test_replicas_that_do_not_fit_are_refused():
    config = compose_config(
        ["preset=qwen3-4b", "trainer.n_gpus_per_node=1", "ray_kwargs.ray_init.address=x:1"][:2], device="gpu"
    )
    OmegaConf.update(config, "ray_kwargs.ray_init.address", "10.0.0.1:6379", force_add=True)
    with pytest.raises(
        ValueError, match=r"1 ranks cannot be split into rollout replicas of .*tensor_model_parallel_size=2"
    ):
        check_ranks(config)
