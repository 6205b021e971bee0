"""Precision and threads of a run on a CPU follow the model's size and the processor, unless the user says."""

import ast
import json
from importlib.util import find_spec
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from verl_ext.training import fingerprint, precision_words, processor_use
from verl_ext.training.checks.dead_options import check_dead_options
from verl_ext.training.checks.option_values import check_types
from verl_ext.training.configuration import compose_config
from verl_ext.training.model_size import num_parameters

ACTOR = "actor_rollout_ref.actor.fsdp_config"
PRECISIONS = (
    *(f"{section}.mixed_precision.param_dtype" for section in (ACTOR, "actor_rollout_ref.ref.fsdp_config")),
    *("critic.fsdp.mixed_precision.param_dtype", "actor_rollout_ref.rollout.dtype"),
)
THREADS = f"{processor_use.VARIABLES}.OMP_NUM_THREADS"
SMALL, MIDDLE, LARGE = 600_000, 5_000_000, 135_000_000


@pytest.fixture
def composed(tmp_path, monkeypatch):
    """The configuration of a run with a model of so many parameters, on 4 cores, with or without bfloat16 instructions."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(processor_use, "usable_cores", lambda: 4)

    def compose(size, *options, has_bfloat16=True, device="cpu"):
        monkeypatch.setattr(processor_use, "has_fast_bfloat16", lambda: has_bfloat16)
        model = "some/model-on-the-hub"
        if size is not None:
            model = str(write_model(tmp_path, [size // 2, size - size // 2]))
        return compose_config([f"actor_rollout_ref.model.path={model}", *options], device=device)

    return compose


def write_model(folder, sizes):
    """Headers of safetensors files of one tensor each; nothing else of them is read."""
    for number, size in enumerate(sizes):
        entry = {"dtype": "F32", "shape": [size // 4, 4], "data_offsets": [0, 4 * size]}
        header = json.dumps({"__metadata__": {"format": "pt"}, f"weight{number}": entry}).encode()
        (folder / f"model-{number}.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    return folder


def precisions(config):
    return {OmegaConf.select(config, option) for option in PRECISIONS}


def test_the_size_of_a_model_is_that_of_all_its_files(tmp_path):
    assert num_parameters(write_model(tmp_path, [4000, 800])) == 4800
    assert num_parameters(tmp_path / "absent") is None
    assert num_parameters("hdfs://far/away") is None
    assert num_parameters("no/such-model") is None
    (tmp_path / "model-0.safetensors").write_bytes(b"")
    assert num_parameters(tmp_path) is None


@pytest.mark.parametrize(
    ("size", "has_bfloat16", "precision", "threads"),
    [
        (SMALL, True, "float32", "1"),
        (MIDDLE, True, "float32", "4"),
        (LARGE, True, "bfloat16", "4"),
        (LARGE, False, "float32", "4"),
        (None, True, "bfloat16", "4"),  # not here yet: a model of the hub
    ],
)
def test_auto(composed, size, has_bfloat16, precision, threads):
    config = composed(size, has_bfloat16=has_bfloat16)
    assert precisions(config) == {precision}
    assert OmegaConf.select(config, THREADS) == threads
    assert f"precision: {precision} in the learner, {precision} in vLLM" in processor_use.described(config)
    assert f"threads: {threads} for each" in processor_use.described(config)
    check_types(config)
    check_dead_options(config)


def test_the_sums_stay_float32(composed):
    config = composed(LARGE)
    for section in (ACTOR, "critic.fsdp"):
        engine = OmegaConf.select(config, section)
        assert engine.model_dtype == "fp32"
        assert engine.mixed_precision.reduce_dtype == "fp32"


def test_ranks_share_the_cores(composed):
    assert OmegaConf.select(composed(LARGE, "trainer.n_gpus_per_node=2"), THREADS) == "2"
    assert OmegaConf.select(composed(LARGE, "trainer.n_gpus_per_node=8"), THREADS) == "1"


def test_what_the_user_says_stays(composed, monkeypatch):
    assert precisions(composed(LARGE, "precision=float32")) == {"float32"}
    assert precisions(composed(SMALL, "precision=bfloat16")) == {"bfloat16"}
    one = composed(SMALL, f"{ACTOR}.mixed_precision.param_dtype=bf16")
    assert precisions(one) == {"float32", "bf16"}
    check_dead_options(one)
    usual = composed(SMALL, f"{ACTOR}.dtype=bfloat16")  # verl's usual name
    assert OmegaConf.select(usual, f"{ACTOR}.mixed_precision.param_dtype") == "bfloat16"
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert OmegaConf.select(composed(LARGE), THREADS) == "3"
    assert OmegaConf.select(composed(LARGE, f"{THREADS}='2'"), THREADS) == "2"


def test_bfloat16_without_its_instructions_is_said_to_be_slow(composed):
    slow = "This processor has no instructions for bfloat16"
    assert slow in processor_use.described(composed(LARGE, "precision=bfloat16", has_bfloat16=False))
    assert slow not in processor_use.described(composed(LARGE, "precision=bfloat16"))
    assert slow not in processor_use.described(composed(LARGE, has_bfloat16=False))


@pytest.mark.parametrize("option", [f"{ACTOR}.dtype", *PRECISIONS])
def test_it_is_said_in_every_spelling_and_of_every_part(composed, option):
    """verl's own configuration says bf16, which vLLM does not know."""
    word = "bfloat16" if option.endswith("rollout.dtype") else "bf16"
    every_part = ("critic.enable=True", "actor_rollout_ref.actor.use_kl_loss=True")
    config = composed(LARGE, f"{option}={word}", *every_part, has_bfloat16=False)
    check_types(config)
    told = processor_use.described(config)
    assert "This processor has no instructions for bfloat16" in told
    assert "bf16" not in told
    unused = composed(LARGE, f"{option}={word}", has_bfloat16=False)
    is_used = not option.startswith(("critic", "actor_rollout_ref.ref"))
    assert ("no instructions for bfloat16" in processor_use.described(unused)) == is_used


REFUSED = {
    "precision=float16": "precision must be one of auto, float32, bfloat16, got float16. Did you mean bfloat16?",
    "precision=bf16": "precision must be one of auto, float32, bfloat16, got bf16. Did you mean bfloat16?",
    f"{ACTOR}.dtype=bflaot16": f"{ACTOR}.dtype must be one of bf16, .* got bflaot16. Did you mean bfloat16?",
    "critic.fsdp.model_dtype=fp8": "critic.fsdp.model_dtype must be one of bf16, .* got fp8",
    f"{PRECISIONS[1]}=half": f"{PRECISIONS[1]} must be one of bf16, .* got half. Did you mean float16?",
    "actor_rollout_ref.rollout.dtype=bf16": "rollout.dtype must be one of auto, .* got bf16. Did you mean bfloat16?",
    "actor_rollout_ref.rollout.dtype=fp32": "rollout.dtype must be one of auto, .* got fp32. Did you mean float32?",
}


@pytest.mark.parametrize("given", REFUSED)
def test_another_word_is_refused(composed, given):
    with pytest.raises(ValueError, match=REFUSED[given].replace("?", r"\?")):
        check_types(composed(LARGE, given))


@pytest.mark.parametrize("word", precision_words.OF_LEARNER)
def test_each_of_verls_words_passes(composed, word):
    check_types(composed(SMALL, f"{ACTOR}.dtype={word}", f"critic.fsdp.mixed_precision.param_dtype={word}"))


def source_of(module):
    """A module of a library as text: importing it takes seconds."""
    package, _, rest = module.partition(".")
    (root,) = find_spec(package).submodule_search_locations
    return ast.parse((Path(root) / (rest.replace(".", "/") + ".py")).read_bytes())


def assigned(tree, name):
    return next(node.value for node in tree.body if isinstance(node, ast.Assign) and node.targets[0].id == name)


def test_the_words_are_those_that_the_libraries_take():
    dtypes = source_of("verl.utils.torch_dtypes")
    for name, word in {"HALF_LIST": "float16", "FLOAT_LIST": "float32", "BFLOAT_LIST": "bfloat16"}.items():
        taken = {one.value for one in assigned(dtypes, name).elts if isinstance(one, ast.Constant)}
        ours = {spelled for spelled, precision in precision_words.OF_LEARNER.items() if precision == word}
        assert ours == {spelled for spelled in taken if isinstance(spelled, str)}, name
    taken = assigned(source_of("vllm.config.model"), "ModelDType").slice.elts
    assert {one.value for one in taken} == set(precision_words.OF_ENGINE)


def test_a_gpu_has_verls_own_keys(composed):
    config = composed(LARGE, device="gpu")
    assert "precision" not in config
    assert processor_use.described(config) == ""
    check_types(config)


@pytest.mark.parametrize("recorded", ["float32", "bfloat16"])
def test_a_run_goes_on_in_the_precision_of_its_checkpoints(composed, tmp_path, recorded):
    """On another processor, or once its model has come from the hub, auto would choose the other."""
    folder = tmp_path / "out" / "checkpoints"
    options = [f"trainer.output_dir={tmp_path / 'out'}"]
    fingerprint.write(folder, {"precision": recorded})
    other = composed(LARGE, *options, has_bfloat16=recorded == "float32")
    assert precisions(other).isdisjoint({recorded}), "without a checkpoint nothing is gone on from"
    (folder / "global_step_3").mkdir()
    assert precisions(composed(LARGE, *options, has_bfloat16=recorded == "float32")) == {recorded}
    assert precisions(composed(LARGE, *options, "precision=float32")) == {"float32"}, "what is given counts"
