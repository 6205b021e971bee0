"""A run goes on from its own checkpoints only, says so, and keeps what its earlier launches wrote."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.training.conftest import config_of, countdown_rows, overrides_of
from tests.whole_checkpoints import save_step
from verl_ext.data.parquet import write_rows
from verl_ext.training import fingerprint, main, metrics_file, preflight, run_folder, tensorboard_events
from verl_ext.training.checkpoints import Checkpoint, resumed_checkpoint
from verl_ext.training.checks.resume import NothingLeftError, check_resume
from verl_ext.training.data_seed import settle_seed


def save(checkpoints: Path, step: int) -> None:
    """What verl leaves of a checkpoint, as far as finding it goes."""
    save_step(checkpoints, step)


def options_in(out):
    return [f"trainer.output_dir={out}", "trainer.save_freq=1", "trainer.total_training_steps=5"]


def config_in(folder, out, *more):
    config = config_of(folder, *options_in(out), *more)
    settle_seed(config)  # as before each run
    return config


@pytest.fixture
def interrupted(folder, tmp_path):
    """A run that was interrupted after its checkpoint of step 2."""
    assert list(run_folder.begin(config_in(folder, tmp_path), None)) == []
    save(tmp_path / "checkpoints", 2)
    return tmp_path


def test_a_run_takes_the_same_part_of_its_problems_when_it_goes_on(folder, tmp_path):
    """Without a seed verl would draw another part at each start."""
    drawn = (*options_in(tmp_path), "data.train_max_samples=8", "data.val_max_samples=3")
    begun = config_of(folder, *drawn)
    preflight.check(begun)
    assert begun.data.seed == 1
    given = config_of(folder, *drawn, "data.seed=0")
    settle_seed(given)
    assert given.data.seed == 0


def test_the_same_run_goes_on_and_says_so(folder, interrupted):
    config = config_in(folder, interrupted)
    checkpoint = preflight.check(config)
    assert checkpoint == Checkpoint(2, interrupted / "checkpoints" / "global_step_2")
    assert list(run_folder.begin(config, checkpoint)) == [f"resuming from step 2 of {interrupted}/checkpoints"]


OTHER_RUNS = {
    "algorithm.adv_estimator=psr": "algorithm.adv_estimator",
    "algorithm.positive_advantage_weight=0.2": "algorithm.positive_advantage_weight",
    "algorithm.mask_truncated=True": "algorithm.mask_truncated",
    "actor_rollout_ref.actor.entropy_coeff=0.01": "actor_rollout_ref.actor.entropy_coeff",
    "actor_rollout_ref.actor.optim.lr=1e-5": "actor_rollout_ref.actor.optim.lr",
    "actor_rollout_ref.actor.policy_loss.loss_mode=vanilla": "actor_rollout_ref.actor.policy_loss.loss_mode",
    "actor_rollout_ref.actor.ppo_mini_batch_size=4": "actor_rollout_ref.actor.ppo_mini_batch_size",
    "actor_rollout_ref.rollout.temperature=0.6": "actor_rollout_ref.rollout.temperature",
    "actor_rollout_ref.rollout.n=8": "actor_rollout_ref.rollout.n",
    "actor_rollout_ref.model.lora_rank=8": "actor_rollout_ref.model.lora_rank",
    "data.seed=2": "data.seed",
    "data.shuffle=False": "data.shuffle",
    "data.train_batch_size=16": "data.train_batch_size",
    "data.max_response_length=8": "data.max_response_length",
    "trainer.n_gpus_per_node=2": "trainer.n_gpus_per_node x trainer.nnodes",
}


@pytest.mark.parametrize("override", OTHER_RUNS)
def test_another_run_is_refused_with_what_differs(folder, interrupted, override):
    with pytest.raises(ValueError) as error:
        preflight.check(config_in(folder, interrupted, override))
    lines = str(error.value).splitlines()
    assert f"{interrupted}/checkpoints has the checkpoints of another run" in lines[0]
    setting = lines[1].split("  ")[1]
    assert (len(lines), setting) == (3, OTHER_RUNS[override])
    assert "another trainer.output_dir" in lines[2]


@pytest.mark.parametrize(
    "override",
    [
        *("trainer.total_training_steps=9", "trainer.save_freq=2", "trainer.test_freq=3", "trainer.logger=[file]"),
        *("actor_rollout_ref.rollout.gpu_memory_utilization=0.3", "data.dataloader_num_workers=2"),
        *("actor_rollout_ref.actor.ppo_max_token_len_per_gpu=9999", "trainer.max_actor_ckpt_to_keep=2"),
        *("actor_rollout_ref.actor.fsdp_config.param_offload=True", "data.val_max_samples=3", "critic.optim.lr=1"),
    ],
)
def test_what_may_change_goes_on(folder, interrupted, override):
    assert preflight.check(config_in(folder, interrupted, override)).step == 2


def test_a_grader_of_another_kind_is_another_run(folder, interrupted, monkeypatch):
    monkeypatch.setenv("VERL_EXT_GRADER", "paper")
    with pytest.raises(ValueError, match="grader .*default -> paper"):
        preflight.check(config_in(folder, interrupted))


def test_a_grader_of_other_conventions_is_another_run(folder, interrupted, monkeypatch):
    monkeypatch.setenv("VERL_EXT_GRADER_CONVENTIONS", "units=required")
    with pytest.raises(ValueError, match="grader .*default -> default, units=required"):
        preflight.check(config_in(folder, interrupted))


@pytest.mark.parametrize("rows", [countdown_rows(32, first=100), countdown_rows(16), countdown_rows(33)])
def test_other_data_under_the_same_name_is_refused(folder, tmp_path, rows):
    data = tmp_path / "rows.parquet"
    write_rows(countdown_rows(32), data)
    config = config_in(folder, tmp_path, f"data.train_files={data}")
    list(run_folder.begin(config, None))
    save(tmp_path / "checkpoints", 2)
    preflight.check(config)
    write_rows(rows, data)
    with pytest.raises(ValueError, match=r"data.train_files\[0\] .*content .* -> .*content"):
        preflight.check(config)


def test_another_model_is_refused_and_a_moved_one_is_not(folder, tmp_path):
    model = tmp_path / "model"
    model.mkdir()
    for file in (folder / "model").iterdir():
        (model / file.name).write_bytes(file.read_bytes())
    here = f"actor_rollout_ref.model.path={model}"
    list(run_folder.begin(config_in(folder, tmp_path), None))
    save(tmp_path / "checkpoints", 2)
    assert preflight.check(config_in(folder, tmp_path, here)).step == 2
    weights = bytearray((model / "model.safetensors").read_bytes())
    weights[-1] = 1
    (model / "model.safetensors").write_bytes(weights)
    with pytest.raises(ValueError, match="actor_rollout_ref.model.path"):
        preflight.check(config_in(folder, tmp_path, here))


def test_other_rewards_are_refused(folder, tmp_path):
    rewards = tmp_path / "rewards.py"
    rewards.write_text("def compute_score(**_):\n    return 1.0\n")
    config = config_in(folder, tmp_path, f"reward.custom_reward_function.path={rewards}")
    list(run_folder.begin(config, None))
    save(tmp_path / "checkpoints", 2)
    preflight.check(config)
    rewards.write_text("def compute_score(**_):\n    return 0.0\n")
    with pytest.raises(ValueError, match="reward.custom_reward_function.path"):
        preflight.check(config)


def test_killed_before_the_first_checkpoint_it_binds_nobody(folder, tmp_path):
    list(run_folder.begin(config_in(folder, tmp_path), None))
    assert preflight.check(config_in(folder, tmp_path, "data.seed=2")) is None


def test_starting_afresh_among_the_checkpoints_of_another_run_is_refused(folder, interrupted):
    with pytest.raises(ValueError, match=r"data.seed .*1 -> 2"):
        preflight.check(config_in(folder, interrupted, "trainer.resume_mode=disable", "data.seed=2"))
    assert preflight.check(config_in(folder, interrupted, "trainer.resume_mode=disable")) is None


def test_checkpoints_without_a_record_go_on_with_a_word(folder, interrupted):
    (interrupted / "checkpoints" / fingerprint.NAME).unlink()
    config = config_in(folder, interrupted)
    line, *_ = run_folder.begin(config, preflight.check(config))
    assert line.endswith(", made with settings that are not on record")


def test_a_resume_with_nothing_left_says_so_and_is_no_error(folder, interrupted, capsys):
    save(interrupted / "checkpoints", 5)
    assert main.main(["device=cpu", *overrides_of(folder), *options_in(interrupted)]) == 0
    assert capsys.readouterr().out.startswith(f"nothing to do: step 5 of 5: {interrupted}/checkpoints has the last")
    validation = ("trainer.val_only=True", "trainer.val_before_train=True")
    assert preflight.check(config_in(folder, interrupted, *validation)).step == 5


def with_rows(out: Path, *steps: int) -> None:
    (out / "metrics.jsonl").write_text("".join(json.dumps({"step": step, "data": {}}) + "\n" for step in steps))


def with_validations(out: Path, *steps: int, **more) -> None:
    with (out / "validation.jsonl").open("a") as file:
        file.writelines(json.dumps({"step": step, "data_source": "countdown"} | more) + "\n" for step in steps)


@pytest.mark.parametrize(
    ("test_freq", "rows", "validations", "is_validated"),
    [
        (2, [0, 1, 2, 3, 4], [0, 2, 4], False),
        (3, [0, 1, 2, 3, 4], [0, 3], False),
        (3, [0, 1, 2, 3], [0, 3], False),
        (-1, [0, 1, 2, 3], [0], False),
        (2, [0, 1, 2, 3], [0, 2], True),
        (2, [0, 1, 2, 3], [0, 2, 4], True),
        # Without trainer.logger=[file]
        (2, None, [0, 2, 4], False),
        (2, None, [0, 2], True),
        (2, None, None, False),
    ],
)
@pytest.mark.parametrize("val_before_train", [True, False])
def test_a_resumed_run_makes_the_validation_that_is_missing_and_no_other(
    folder, interrupted, test_freq, rows, validations, is_validated, val_before_train
):
    save(interrupted / "checkpoints", 4)
    if rows is not None:
        with_rows(interrupted, *rows)
    if validations is not None:
        with_validations(interrupted, *validations)
        with_validations(interrupted, 4, drawn={"by": "evaluate"})
    options = (f"trainer.test_freq={test_freq}", f"trainer.val_before_train={val_before_train}")
    config = config_in(folder, interrupted, *options)
    checkpoint = check_resume(config, 5)
    said = list(run_folder.begin(config, checkpoint))
    assert checkpoint.is_validated == config.trainer.val_before_train == is_validated
    assert any(line.startswith("step 4 has no validation on record") for line in said) == is_validated
    if validations is not None:
        kept = [step for step in validations if not (is_validated and step == 4)]
        assert rows_of(interrupted / "validation.jsonl") == [*kept, 4], "what evaluate drew stays"


@pytest.mark.parametrize("val_before_train", [True, False])
def test_at_a_checkpoint_of_another_folder_a_run_begins(folder, interrupted, tmp_path_factory, val_before_train):
    """Once: the same command goes on from there again."""
    out = tmp_path_factory.mktemp("begun")
    given = ("trainer.resume_mode=resume_path", f"trainer.resume_from_path={interrupted}/checkpoints/global_step_2")
    config = config_in(folder, out, *given, f"trainer.val_before_train={val_before_train}")
    assert check_resume(config, 5).is_validated == val_before_train
    with_rows(out, 2, 3)
    assert not check_resume(config, 5).is_validated


def test_a_run_that_was_stopped_in_its_last_validation_makes_it(folder, interrupted):
    """Of one that does not repeat to the bit; where no validation was due, it says what is missing and how to get it."""
    save(interrupted / "checkpoints", 5)
    with_rows(interrupted, 1, 2, 3, 4)
    config = config_in(folder, interrupted, "trainer.test_freq=2")
    assert check_resume(config, 5) == Checkpoint(5, interrupted / "checkpoints/global_step_5", is_validated=True)
    unvalidated = config_in(folder, interrupted, "trainer.test_freq=-1")
    data = interrupted / "checkpoints/global_step_2/data.pt"
    elsewhere = data.rename(interrupted / "data.pt")
    lost = f"{interrupted}/metrics.jsonl has no row of step 5: the run was stopped between its checkpoint and its row. "
    with pytest.raises(NothingLeftError, match="step 5 of 5") as error:
        check_resume(unvalidated, 5)
    assert str(error.value).endswith(f"{lost}There is no whole checkpoint before it to make it again from.")
    elsewhere.rename(data)
    with pytest.raises(NothingLeftError) as error:
        check_resume(unvalidated, 5)
    tracker = interrupted / "checkpoints/latest_checkpointed_iteration.txt"
    assert str(error.value).endswith(
        f"{lost}To make it again, write 2, the whole checkpoint before it, into {tracker}."
    )
    with_rows(interrupted, 1, 2, 3, 4, 5)
    with pytest.raises(NothingLeftError) as error:
        check_resume(config, 5)
    assert "has no row" not in str(error.value)


@pytest.mark.parametrize(("save_freq", "goes_on_from"), [(4, None), (9, None), (3, 4)])
def test_a_run_that_repeats_starts_over_where_its_first_checkpoint_has_no_row(
    folder, tmp_path, save_freq, goes_on_from
):
    """Where it is not the first, and no other is left, that would throw away more than lies between two."""
    save(tmp_path / "checkpoints", 4)
    with_rows(tmp_path, 1, 2, 3)
    config = config_in(folder, tmp_path, "trainer.deterministic=True", f"trainer.save_freq={save_freq}")
    checkpoint = check_resume(config, 5)
    assert (checkpoint and checkpoint.step) == goes_on_from
    said = list(run_folder.begin(config, checkpoint))
    starts_over = "the first checkpoint, of step 4, has no row of metrics: the run starts over, to the bit"
    assert (starts_over in said) == (goes_on_from is None)
    assert resumed_checkpoint(config) == checkpoint
    assert rows_of(tmp_path / "metrics.jsonl") == ([] if goes_on_from is None else [1, 2, 3])


def test_stopped_between_its_checkpoint_and_its_row_a_step_has_none(folder, interrupted):
    save(interrupted / "checkpoints", 4)
    with_rows(interrupted, 1, 2, 3)
    config = config_in(folder, interrupted)
    checkpoint = preflight.check(config)
    assert checkpoint.step == 4
    assert list(run_folder.begin(config, checkpoint))[-1].startswith("metrics.jsonl has no row of step 4: ")


@pytest.mark.parametrize(
    ("rows", "whole", "expected"),
    [((1, 2, 3), (2,), 2), ((1, 2, 3), (2, 3), 3), ((1, 2, 3, 4), (2, 3, 4), 4), ((1, 2, 3), (), 4), ((), (2,), 4)],
)
def test_a_run_that_repeats_makes_a_step_without_a_row_again(folder, interrupted, rows, whole, expected):
    """From the last checkpoint that is whole, of a step that is on record; where there is none, with a row less."""
    checkpoints = interrupted / "checkpoints"
    for step in (3, 4):
        save(checkpoints, step)
    for step in whole:
        (checkpoints / f"global_step_{step}/ending.json").write_text("{}")
    with_rows(interrupted, *rows)
    config = config_in(folder, interrupted, "trainer.deterministic=True")
    checkpoint = resumed_checkpoint(config)
    assert checkpoint.step == expected
    said = list(run_folder.begin(config, checkpoint))
    assert (checkpoints / "latest_checkpointed_iteration.txt").read_text() == str(expected)
    assert any("its step is made again" in line for line in said) == (expected < 4)
    assert rows_of(interrupted / "metrics.jsonl") == [step for step in rows if step <= expected]


def test_tensorboard_shows_each_step_once(tmp_path):
    """What verl writes before a kill, and from step 3 on again."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from torch.utils.tensorboard import SummaryWriter

    def log(steps, value):
        writer = SummaryWriter(tmp_path)
        for step in steps:
            writer.add_scalar("loss", value, step)
        writer.close()

    tensorboard_events.forget_after(tmp_path / "none", 2)
    assert not (tmp_path / "none").exists()
    log(range(1, 6), 0.0)
    tensorboard_events.forget_after(tmp_path, 2)
    log(range(3, 5), 1.0)
    shown = EventAccumulator(str(tmp_path)).Reload()
    assert [(event.step, event.value) for event in shown.Scalars("loss")] == [(1, 0), (2, 0), (3, 1), (4, 1)]


@pytest.mark.parametrize("path", ["null", "/nowhere/global_step_3", "/tmp"])
def test_a_path_to_resume_from_is_looked_at(folder, tmp_path, path):
    options = ("trainer.resume_mode=resume_path", f"trainer.resume_from_path={path}")
    with pytest.raises(ValueError, match=r"trainer\.resume_from_path"):
        preflight.check(config_in(folder, tmp_path, *options))


def test_a_broken_fingerprint_is_named(folder, interrupted):
    (interrupted / "checkpoints" / fingerprint.NAME).write_text("{")
    with pytest.raises(ValueError, match="fingerprint.json cannot be read"):
        preflight.check(config_in(folder, interrupted))


# ---------------------------------------------------------------------- metrics.jsonl


def rows_of(path):
    return [json.loads(line)["step"] for line in path.read_text().splitlines()]


def test_a_resumed_run_keeps_the_rows_before_it(folder, interrupted):
    path = interrupted / "metrics.jsonl"
    # 0 is the validation before training; step 3 was made after the checkpoint, and the kill came within step 4's row
    whole = "".join(json.dumps({"step": step, "data": {}}) + "\n" for step in (0, 1, 2, 3)) + '{"step": 4, "da'
    path.write_text(whole)
    lines = list(
        run_folder.begin(config_in(folder, interrupted), Checkpoint(2, interrupted / "checkpoints/global_step_2"))
    )
    assert rows_of(path) == [0, 1, 2]
    assert lines[1] == "metrics.jsonl: 2 rows of steps that this run makes again are in a copy beside it"
    assert (interrupted / "metrics.jsonl.1").read_text() == whole


def test_a_run_that_starts_afresh_starts_its_rows_afresh(folder, tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1, "data": {}}\n')
    list(run_folder.begin(config_in(folder, tmp_path), None))
    assert rows_of(path) == []
    assert rows_of(tmp_path / "metrics.jsonl.1") == [1]


def test_nothing_is_touched_where_nothing_is_made_again(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1, "data": {}}\n')
    assert metrics_file.keep_until(path, 1) == 0
    assert [file.name for file in tmp_path.iterdir()] == ["metrics.jsonl"]


LOG_A_ROW = """
import sys
from verl.utils import tracking
from verl_ext.patches import append_to_metrics_file
if sys.argv[1] == "ours":
    append_to_metrics_file(tracking)
logger = tracking.Tracking("project", "run", default_backend=["file"])
logger.log({"a": 1.0}, step=7)
logger.finish()
"""


@pytest.mark.parametrize(("whose", "steps"), [("ours", [6, 7]), ("verl's", [7])])
def test_verls_file_logger_appends_only_with_the_patch(tmp_path, monkeypatch, whose, steps):
    """When verl's own keeps what was there, the patch can go."""
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 6, "data": {}}\n')
    monkeypatch.setenv("VERL_FILE_LOGGER_PATH", str(path))
    subprocess.run([sys.executable, "-c", LOG_A_ROW, whose], check=True, capture_output=True)
    assert rows_of(path) == steps
