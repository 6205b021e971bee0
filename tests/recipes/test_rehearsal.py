"""The GPU's settings, executed: every recipe with ``device=gpu`` on the CPU engine, only ``rehearsal.HARDWARE`` exchanged.

Two ranks, FSDP2, packed rows in bfloat16, gradient checkpointing, micro-batches by tokens, offload, verl's own agent loop
and reward workers, checkpoint and resume. What the runs read of the options is kept and compared with recipes/OPTIONS.md.

A run takes minutes, so by default there is one for each algorithm, each with another model's preset;
``REHEARSE=all pytest -m slow tests/recipes`` makes all nine.
"""

import json
import math
import os
import runpy
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from tests.recipes.conftest import RECIPES, ROOT, start, template_of
from verl_ext.training import rehearsal
from verl_ext.training.checks.dead_options import DEAD
from verl_ext.training.configuration import compose_config
from verl_ext.training.resources import cpus_needed

LISTS = runpy.run_path(str(ROOT / "scripts/options_read.py"))
ACTOR, ROLLOUT = "actor_rollout_ref.actor", "actor_rollout_ref.rollout"
SMALL = [
    "data.train_batch_size=8",
    "data.train_max_samples=64",
    "data.val_max_samples=4",
    "data.max_prompt_length=640",
    "data.max_response_length=32",
    f"{ROLLOUT}.max_model_len=672",
    f"{ROLLOUT}.n=4",
    f"{ACTOR}.ppo_mini_batch_size=4",
    "critic.ppo_mini_batch_size=2",
    f"{ACTOR}.optim.lr=1e-3",  # so that a step is more than rounding
    "trainer.save_freq=1",
    "trainer.test_freq=2",
    "trainer.val_before_train=False",
]
OFFLOAD = [
    f"{section}.{part}_offload=True"
    for section in (f"{ACTOR}.fsdp_config", "critic.fsdp")
    for part in ("param", "optimizer")
]
VARIANTS = {
    "run_qwen2.5-math-7b_psr_nsr.sh": ({"ADVANTAGE": "negative"}, OFFLOAD),
    "run_qwen3-4b_psr_nsr.sh": ({"ADVANTAGE": "weighted"}, []),
    "run_llama3.1-8b_psr_nsr.sh": ({"ADVANTAGE": "negative", "MASK_TRUNCATED": "False"}, []),
    "run_qwen3-4b_ppo.sh": ({}, OFFLOAD),
    "run_llama3.1-8b_ppo.sh": ({}, OFFLOAD),
    "run_llama3.1-8b_grpo.sh": ({"DR_GRPO": "True"}, []),
}
"""Knobs and options that differ between recipes, so that more of what they offer is executed."""
READ_AND_REFUSED = {
    # What is read there is the copy of the role's own strategy, put over what was given.
    *(
        f"{section}.strategy"
        for section in (f"{ACTOR}.fsdp_config", "actor_rollout_ref.ref.fsdp_config", "critic.fsdp")
    ),
    # Read by the trainer, which then takes the reference to be the actor without its adapter, but by nobody who makes one.
    "actor_rollout_ref.model.lora.rank",
}
ONE_OF_EACH = ("run_qwen2.5-math-7b_psr_nsr.sh", "run_qwen3-4b_ppo.sh", "run_llama3.1-8b_grpo.sh")
REHEARSED = RECIPES if os.environ.get("REHEARSE") == "all" else ONE_OF_EACH
RESUMED = ("run_qwen2.5-math-7b_psr_nsr.sh", "run_llama3.1-8b_ppo.sh")


# ------------------------------------------------------------------ the list


def test_every_line_of_the_cpus_file_is_exchanged_or_not():
    """A new line of device/cpu.yaml has to be put into one of the three lists, and none of them names another."""
    groups = [rehearsal.HARDWARE, rehearsal.AS_ON_GPUS, rehearsal.SIZES]
    for option in rehearsal.cpu_lines():
        assert sum(any(option == name or option.startswith(f"{name}.") for name in group) for group in groups) == 1, (
            option
        )
    for name in (name for group in groups for name in group):
        assert any(option == name or option.startswith(f"{name}.") for option in rehearsal.cpu_lines()), name


def test_the_readme_lists_what_no_cpu_executes():
    assert rehearsal.table() in (ROOT / "recipes/README.md").read_text(), "python -m verl_ext.training.rehearsal"


def test_only_the_listed_lines_are_exchanged():
    options = ["preset=qwen2.5-math-7b", "recipe=ppo"]
    assert differing(compose_config([*options, *rehearsal.options()], device="gpu"), options) <= exchanged(options)
    rehearsed = compose_config([*options, *rehearsal.options()], device="gpu")
    assert rehearsed.actor_rollout_ref.model.use_remove_padding
    assert rehearsed.critic.model.enable_gradient_checkpointing
    assert rehearsed.actor_rollout_ref.actor.fsdp_config.mixed_precision.param_dtype == "bfloat16"
    assert cpus_needed(rehearsed) > 8


def leaves(config):
    resolved = OmegaConf.create(OmegaConf.to_container(config, resolve=True))
    return dict(rehearsal.leaves(resolved))


def differing(config, options):
    """Options in which a run differs from what ``options`` resolve to on GPUs."""
    run, on_gpus = leaves(config), leaves(compose_config(options, device="gpu"))
    return {option for option in run.keys() | on_gpus.keys() if run.get(option) != on_gpus.get(option)}


def exchanged(options):
    """What a rehearsal exchanges, and the options that follow one of these."""
    names = set(rehearsal.hardware_lines()) | set(rehearsal.SIZES)
    followers = LISTS["_followers"](compose_config(options, device="gpu"))
    while not (names >= {follower for name in names for follower in followers.get(name, ())}):
        names |= {follower for name in names for follower in followers.get(name, ())}
    return names


# ------------------------------------------------------------------ the runs


@pytest.fixture(scope="session")
def rehearsals(tmp_path_factory) -> Path:
    """A folder for each recipe's run; ``reads`` in each holds what the run read."""
    return tmp_path_factory.mktemp("rehearsals")


@pytest.fixture
def rehearse(rehearsals, prepared, model):
    def run(recipe, num_steps, reads="reads"):
        folder = rehearsals / recipe
        (folder / reads).mkdir(parents=True, exist_ok=True)
        knobs, options = VARIANTS.get(recipe, ({}, []))
        done = start(
            recipe,
            *rehearsal.options(),
            *SMALL,
            *options,
            f"trainer.total_training_steps={num_steps}",
            DEVICE="gpu",
            N_GPUS=2,
            MODEL_PATH=model,
            DATA_DIR=prepared(template_of(recipe)),
            OUTPUT_DIR=folder,
            PYTHONPATH=os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]),
            VERL_EXT_TRACE_READS=folder / reads,
            VERL_USE_EXTERNAL_MODULES="trace_reads",
            **knobs,
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        lines = [json.loads(line)["data"] for line in (folder / "metrics.jsonl").read_text().splitlines()]
        return folder, done.stdout, [line for line in lines if "train/num_updates" in line]

    return run


@pytest.mark.slow
@pytest.mark.parametrize("recipe", REHEARSED)
def test_two_steps_with_the_gpus_settings(recipe, rehearse):
    if recipe in RESUMED:
        rehearse(recipe, 1, reads="before")  # another number of steps than the run.json that is compared with
    folder, _, steps = rehearse(recipe, 2)
    assert [step["training/global_step"] for step in steps][-1] == 2
    for step in steps:
        assert (
            step["training/rollout_probs_diff_mean"] < 1e-3
        )  # bfloat16 on both sides; packed rows do not see each other
        assert math.isfinite(step["actor/grad_norm"])
    record = json.loads((folder / "run.json").read_text())
    given = [word for word in record["argv"] if "=" in word and not word.startswith("++")]
    assert differing(OmegaConf.create(record["config"]), given) <= exchanged(given)
    assert (folder / "checkpoints/latest_checkpointed_iteration.txt").read_text() == "2"
    shards = {path.name for path in (folder / "checkpoints/global_step_2/actor").glob("*_rank_*.pt")}
    assert {
        f"{part}_world_size_2_rank_{rank}.pt" for part in ("model", "optim", "extra_state") for rank in (0, 1)
    } <= shards
    last = steps[-1]
    if recipe.endswith("_ppo.sh"):
        assert math.isfinite(last["critic/grad_norm"])
        assert last["critic/grad_norm"] > 0
        assert (folder / "checkpoints/global_step_2/critic").is_dir()
    assert ("timing_s/ref" in last) == recipe.endswith(("_ppo.sh", "_grpo.sh"))
    if recipe.endswith("_grpo.sh"):
        assert last["actor/kl_loss"] > 0
    if recipe.endswith("_psr_nsr.sh"):
        assert last["train/kept_samples"] > 0
        assert last["train/num_updates"] == 2


# ------------------------------------------------------------------ what they read


def test_the_list_of_options_names_what_we_set():
    """Of every option that we set, recipes/OPTIONS.md has a reader.

    After a change of options: ``python scripts/options_read.py > /tmp/OPTIONS.md``, and that over recipes/OPTIONS.md.
    """
    rows = [
        line.split(" | ") for line in (ROOT / "recipes/OPTIONS.md").read_text().splitlines() if line.startswith("| `")
    ]
    listed = {row[0].strip("| `"): row[1] for row in rows}
    assert listed == {option: ", ".join(files) for option, files in LISTS["set_by_us"]().items()}
    assert not [row for row in rows if "**nobody**" in row[2]]
    for option, _files, reader in rows:
        place = reader.strip("| `").partition(" (as ")[0]
        if ":" not in place:  # found in our source, and not in a run
            assert place in files_with(option.strip("| `")), f"{option}: see above"


def files_with(option):
    """Of this package's source, those that name an option."""
    return LISTS["_words_of_ours"]().get(option.rpartition(".")[2], [])


def test_no_dead_option_is_set_by_us():
    assert not {dead.option for dead in DEAD} & set(LISTS["set_by_us"]())


def test_an_option_that_nobody_reads_is_seen():
    reads = {"critic.optim.clip_grad": {"verl/x.py:f": [1.0]}, "critic.model": {"verl/y.py:g": ["..."]}}
    followers = {"critic.grad_clip": {"critic.optim.clip_grad"}}
    readers_of = LISTS["readers_of"]
    assert readers_of("critic.grad_clip", reads, followers) == ["verl/x.py:f (as critic.optim.clip_grad)"]
    assert readers_of("critic.grad_clip", reads, {}) == []
    assert readers_of("critic.model.path", reads, followers) == ["verl/y.py:g"]  # a section that is passed on whole
    assert readers_of("critic.optim.lr", reads, followers) == []
    assert readers_of("algorithm.mini_batches", {}, {}) != []  # this package's own


@pytest.mark.slow
def test_every_option_that_we_set_is_read_and_arrives(rehearsals):
    if not {path.name for path in rehearsals.iterdir()} >= set(ONE_OF_EACH):
        pytest.skip("needs the runs of one recipe of each algorithm in this session")
    reads = LISTS["read_traces"](rehearsals)
    rows = LISTS["table"](reads)
    assert [option for option, (_, readers) in rows.items() if not readers] == []
    for line in (ROOT / "recipes/OPTIONS.md").read_text().splitlines():
        if line.startswith("| `"):
            option, _, reader = (cell.strip("` ") for cell in line.strip("|").split(" | "))
            # Of an option of this package the page names one of the files that it is found in.
            assert reader in [*rows[option][1], *files_with(option)], (
                f"python scripts/options_read.py {rehearsals} > recipes/OPTIONS.md"
            )
    for folder in rehearsals.iterdir():
        config = OmegaConf.create(json.loads((folder / "run.json").read_text())["config"])
        for option, values in LISTS["read_traces"](folder).items():
            if option in rows:
                given = OmegaConf.select(config, option)
                expected = given if isinstance(given, bool | int | float | str | None) else str(given)
                for reader, found in values.items():
                    assert set(map(repr, found)) == {repr(expected)}, (folder.name, option, reader)
    dead = {dead.option for dead in DEAD} & set(reads) - READ_AND_REFUSED
    assert not dead, f"verl reads {dead}: take them out of checks/dead_options.py"
