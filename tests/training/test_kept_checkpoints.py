"""The last checkpoints stay and the best one, whatever was saved, validated and interrupted; none is begun without room."""

import json
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from tests.training.stand_in import trainer_with
from verl_ext.host import disk
from verl_ext.host.disk import NoRoomError
from verl_ext.training.checkpoints import TRACKER, saved_steps
from verl_ext.training.checks.best_checkpoint import check_best_checkpoint
from verl_ext.training.configuration import compose_config
from verl_ext.training.kept_checkpoints import BEST, KeptCheckpoints, Score, best_of, read_best, surplus

METRIC = "val-core/math/acc/mean@4"


def run_of(
    folder,
    keep=None,
    *,
    metric: str | None = METRIC,
    mode="max",
    keep_critic=None,
    model="/none",
    trainer_mode="sign_filter_sync",
) -> KeptCheckpoints:
    trainer = {
        "default_local_dir": str(folder),
        "max_actor_ckpt_to_keep": keep,
        "max_critic_ckpt_to_keep": keep_critic,
        "best_checkpoint": {"metric": metric, "mode": mode},
        "val_only": False,
        "v1": {"trainer_mode": trainer_mode},
    }
    return KeptCheckpoints(OmegaConf.create({"trainer": trainer, "actor_rollout_ref": {"model": {"path": model}}}))


def write(folder: Path, step: int, parts=("actor",), *, is_whole=True) -> None:
    """What verl does while it saves."""
    for part in parts:
        (folder / f"global_step_{step}" / part).mkdir(parents=True, exist_ok=True)
        (folder / f"global_step_{step}" / part / "weights").write_text("w" * 1000)
    if is_whole:
        (folder / f"global_step_{step}" / "data.pt").touch()
        (folder / TRACKER).write_text(str(step))


def save(kept: KeptCheckpoints, folder: Path, step: int, **how) -> None:
    with kept.saving(step):
        write(folder, step, **how)


def cut(kept: KeptCheckpoints, folder: Path, step: int, parts=("actor",)) -> None:
    """Be killed while a step is saved."""
    with suppress(KeyboardInterrupt), kept.saving(step):
        write(folder, step, parts, is_whole=False)
        raise KeyboardInterrupt


def validate(kept: KeptCheckpoints, folder: Path, step: int, value: float) -> None:
    kept.see_validation(step, {METRIC: value})
    kept.settle(step, lambda: save(kept, folder, step))


# ---------------------------------------------------------------------- plain


def test_what_is_surplus():
    assert surplus([10, 2, 4, 6], 2, []) == [2, 4]
    assert surplus([10, 2, 4, 6], 2, [4, None]) == [2]
    assert surplus([10, 2], 5, []) == surplus([2, 10], None, []) == surplus([], 1, []) == []
    assert surplus([2, 4], 0, []) == [2, 4]


def test_the_best_is_the_first_of_the_best():
    scores = [Score(1, 0.5), Score(2, 0.7), Score(3, float("nan")), Score(4, 0.7), Score(5, 0.1)]
    assert best_of(scores, "max") == (2, 0.7)
    assert best_of(scores, "min") == (5, 0.1)
    assert best_of([Score(3, float("nan"))], "max") is best_of([], "min") is None


# ---------------------------------------------------------------------- on the disk


def test_the_last_two_and_the_best_stay(tmp_path):
    kept = run_of(tmp_path, 2)
    kept.restore(None)
    kept.see_validation(0, {METRIC: 0.9})
    kept.settle(0, pytest.fail)
    for step, value in ((2, 0.3), (4, 0.6), (6, 0.5), (8, 0.6), (10, 0.1)):
        save(kept, tmp_path, step)
        validate(kept, tmp_path, step, value)
    assert saved_steps(tmp_path) == [4, 8, 10]
    assert read_best(tmp_path) == (4, 0.6)
    said = json.loads((tmp_path / BEST).read_text())
    assert (said["metric"], said["validations"][0], said["validations"][-1]) == (METRIC, [0, 0.9], [10, 0.1])
    validate(kept, tmp_path, 11, 0.8)
    assert read_best(tmp_path) == (11, 0.8)
    assert saved_steps(tmp_path) == [10, 11], "a step that was not due is saved for its score, and the old best goes"
    validate(kept, tmp_path, 12, 0.2)
    assert saved_steps(tmp_path) == [10, 11]


def test_less_may_be_better(tmp_path):
    kept = run_of(tmp_path, 1, mode="min")
    for step, value in ((2, 0.3), (4, 0.1), (6, 0.5)):
        save(kept, tmp_path, step)
        validate(kept, tmp_path, step, value)
    assert saved_steps(tmp_path) == [4, 6]


def test_without_limits_and_without_a_score(tmp_path):
    kept = run_of(tmp_path, metric=None)
    for step in (2, 4, 6):
        save(kept, tmp_path, step)
        kept.see_validation(step, {})
        kept.settle(step, pytest.fail)
    assert saved_steps(tmp_path) == [2, 4, 6]
    assert not (tmp_path / BEST).exists()
    assert read_best(tmp_path) is None


def test_what_an_earlier_launch_has_left_is_rotated_too(tmp_path):
    for step in (2, 4, 6):
        write(tmp_path, step)
    later = run_of(tmp_path, 2)
    later.restore(6)
    save(later, tmp_path, 8)
    assert saved_steps(tmp_path) == [6, 8]


def test_actor_and_critic_have_limits_of_their_own(tmp_path):
    kept = run_of(tmp_path, 1, keep_critic=2)
    for step in (2, 4, 6):
        save(kept, tmp_path, step, parts=("actor", "critic"))
    found = {
        step: {part.name for part in (tmp_path / f"global_step_{step}").iterdir()} - {"data.pt"}
        for step in saved_steps(tmp_path)
    }
    assert found == {4: {"critic"}, 6: {"actor", "critic"}}


def test_verl_is_told_to_rotate_nothing_while_it_saves(tmp_path):
    kept = run_of(tmp_path, 2)
    trainer = kept._config.trainer
    with kept.saving(2):
        assert (trainer.max_actor_ckpt_to_keep, trainer.max_critic_ckpt_to_keep) == (None, None)
    assert trainer.max_actor_ckpt_to_keep == 2


def test_the_beginning_of_a_checkpoint_never_takes_the_place_of_a_whole_one(tmp_path):
    """Killed while it saved step 6, the run goes on from 4; the files of 6 are neither kept nor mixed with new ones."""
    write(tmp_path, 4)
    write(tmp_path, 5, is_whole=False)
    write(tmp_path, 6, parts=("actor", "cut"), is_whole=False)
    kept = run_of(tmp_path, 2)
    kept.restore(4)
    cut(kept, tmp_path, 6, parts=())
    assert saved_steps(tmp_path) == [4, 5]
    save(kept, tmp_path, 6)
    assert not (tmp_path / "global_step_6/cut").exists()
    save(kept, tmp_path, 8)
    assert saved_steps(tmp_path) == [5, 6, 8], "5 is not counted"


def test_a_resumed_run_chooses_among_what_it_has(tmp_path):
    kept = run_of(tmp_path)
    for step, value in ((2, 0.3), (4, 0.6), (6, 0.9)):
        save(kept, tmp_path, step)
        validate(kept, tmp_path, step, value)
    again = run_of(tmp_path)
    again.restore(4)
    assert read_best(tmp_path) == (4, 0.6), "step 6 is made again"
    validate(again, tmp_path, 4, 0.99)
    assert read_best(tmp_path) == (4, 0.99), "one that was made again is the one on record"
    assert json.loads((tmp_path / BEST).read_text())["validations"] == [[2, 0.3], [4, 0.99]]
    other = run_of(tmp_path, metric="val-core/aime/acc/mean@4")
    other.restore(4)
    assert read_best(tmp_path) is None, "of another score nothing is known"


def test_a_score_that_there_is_none_of(tmp_path):
    kept = run_of(tmp_path)
    with pytest.raises(
        RuntimeError, match=rf"best_checkpoint.metric={METRIC} is no metric .*; there are val-core/a/b."
    ):
        kept.see_validation(2, {"val-core/a/b": 1.0, "val-aux/c": 2.0})


COURSES = st.lists(
    st.tuples(st.integers(1, 5), st.sampled_from(["save", "both", "validate", "cut"]), st.integers(0, 3)), max_size=15
)


@settings(max_examples=40)
@given(COURSES, st.integers(1, 3), st.integers(0, 15))
def test_whatever_happens_the_last_and_the_best_are_there(course, keep, resumed_at):
    """Steps of a run that saves and validates as it likes, is killed while it saves, and goes on from its last checkpoint."""
    folder = Path(tempfile.mkdtemp())
    try:
        kept, step, whole, begun, scores = run_of(folder, keep), 0, [], set(), {}
        for number, (length, what, value) in enumerate(course):
            if number == resumed_at or (number and course[number - 1][1] == "cut"):
                step = whole[-1] if whole else 0
                kept = run_of(folder, keep)
                kept.restore(step or None)
                scores = {one: score for one, score in scores.items() if one <= step}
            step += length
            if what == "cut":
                cut(kept, folder, step)
                begun.add(step)
                there = saved_steps(folder)
                assert set(whole[-max(keep - 1, 1) :]) <= set(there), "room was made for one that was not to be"
                whole = [one for one in whole if one in there]
                continue
            if what != "validate":
                save(kept, folder, step)
                whole = [one for one in whole if one < step] + [step]
            if what != "save":
                validate(kept, folder, step, value)
                scores[step] = value
                if kept.is_saved(step):
                    whole = [one for one in whole if one < step] + [step]
                    assert read_best(folder) == best_of([Score(*one) for one in scores.items()], "max")
            there = [one for one in saved_steps(folder) if one <= step and (one in whole or one not in begun)]
            assert set(whole[-keep:]) <= set(there), "the last ones"
            best = kept.best
            assert best is None or best.step in there
            assert best == best_of([Score(*one) for one in scores.items() if one[0] in there], "max")
            assert len(there) <= keep + 2, "beside the last ones the best, and what was just validated"
    finally:
        shutil.rmtree(folder)


# ---------------------------------------------------------------------- room


def test_nothing_is_begun_without_room(tmp_path, monkeypatch):
    """The size of the last one tells; before there is any, the model's."""
    kept = run_of(tmp_path, 1)
    save(kept, tmp_path, 2)
    monkeypatch.setattr(disk, "free_bytes", lambda _path: 1000)
    save(kept, tmp_path, 4)
    monkeypatch.setattr(disk, "free_bytes", lambda _path: 999)
    with pytest.raises(
        NoRoomError, match=r"The checkpoint of step 6 needs 1 KiB, .* Nothing of it is written. Make room"
    ):
        save(kept, tmp_path, 6)
    assert saved_steps(tmp_path) == [4]


def test_the_room_for_the_first_one_is_known_from_the_model(tmp_path, monkeypatch):
    (tmp_path / "model").mkdir()
    (tmp_path / "model/model.safetensors").write_bytes(b"w" * 4000)
    (tmp_path / "model/config.json").write_text("{}")
    monkeypatch.setattr(disk, "free_bytes", lambda _path: 11_999)
    with pytest.raises(NoRoomError, match="needs 12 KiB"):
        save(run_of(tmp_path / "c", model=str(tmp_path / "model")), tmp_path / "c", 1)
    monkeypatch.setattr(disk, "free_bytes", lambda _path: 12_000)
    save(run_of(tmp_path / "c", model=str(tmp_path / "model")), tmp_path / "c", 1)


# ---------------------------------------------------------------------- in the launcher and the trainer


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["trainer.save_freq=5"], "trainer.test_freq=-1 makes no validations"),
        (["trainer.test_freq=5"], "trainer.save_freq=-1 makes no checkpoints"),
        (["trainer.save_freq=5", "trainer.test_freq=5", "trainer.best_checkpoint.metric=acc"], "acc is no score"),
    ],
)
def test_what_cannot_be_chosen_is_refused(options, message):
    config = compose_config([f"trainer.best_checkpoint.metric={METRIC}", *options], device="cpu")
    with pytest.raises(ValueError, match=message):
        check_best_checkpoint(config)


def test_the_trainer_saves_a_step_that_is_the_best(tmp_path, monkeypatch):
    """verl validates after it has saved what was due; this step was not."""
    from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync

    trainer = trainer_with(
        *(f"trainer.output_dir={tmp_path}", "trainer.save_freq=4", "trainer.max_actor_ckpt_to_keep=1"),
        f"trainer.best_checkpoint.metric={METRIC}",
    )
    folder = tmp_path / "checkpoints"
    monkeypatch.setattr(PPOTrainerSync, "_save_checkpoint", lambda self: write(folder, self.global_steps))
    trainer._num_updates = 0
    for step, value in ((3, 0.8), (4, 0.1), (5, 0.2)):
        trainer.global_steps = step
        if step == 4:
            trainer._save_checkpoint()
        trainer._checkpoints.see_validation(step, {METRIC: value})
        trainer._compute_metrics(None, {}, {}, global_steps=step, epoch=0)
    assert saved_steps(folder) == [3, 4]
    assert read_best(folder) == (3, 0.8)
    assert (folder / "global_step_3/ending.json").is_file()
