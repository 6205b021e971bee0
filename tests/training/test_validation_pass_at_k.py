"""pass@k while a run trains is what calculate_metrics.py says of the same answers, and what has too few samples is refused."""

import io
import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.training.stand_in import trainer_with
from verl_ext.commands.measure import Options, run
from verl_ext.training import events
from verl_ext.training.checks.best_checkpoint import check_best_checkpoint
from verl_ext.training.checks.pass_at_k_options import check_pass_at_k
from verl_ext.training.configuration import compose_config
from verl_ext.training.console import Console
from verl_ext.training.validation_pass_at_k import described, difference_from, groups_of, noting

KS = [1, 4, 16]
LEVELS = ("Level 1", "Level 10", "Level 2")


@pytest.fixture
def answers():
    """40 problems of 16 answers with levels, the later ones harder: (question, label, level)."""
    rng = random.Random(0)
    return [
        [(problem, int(rng.random() < 0.9 - problem / 50), LEVELS[problem % 3]) for _ in range(16)]
        for problem in range(40)
    ]


def counts_of(answers):
    return {"math": ([sum(label for _, label, _ in one) for one in answers], [len(one) for one in answers])}


def measured(answers, folder):
    """What calculate_metrics.py --by level writes of the answers."""
    file = folder / "answers.jsonl"
    rows = [{"question_id": q, "label": label, "level": level} for one in answers for q, label, level in one]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    run(Options(file_path=[str(file)], k=KS, by=["level"], json=folder / "out.json"))
    return json.loads((folder / "out.json").read_text())["files"][0]


def test_the_same_as_calculate_metrics_on_the_same_answers(answers, tmp_path):
    groups = {"math": {"level": [one[0][2] for one in answers]}}
    found = described(counts_of(answers), groups, KS)
    expected = measured(answers, tmp_path)
    curves = [("core/math/acc", expected["pass_at_k"])]
    curves += [(f"aux/math/level/{curve['name']}", curve) for curve in expected["by"]["level"]]
    assert [stem for stem, _ in curves[1:]] == [f"aux/math/level/Level {level}" for level in (1, 2, 10)]
    for stem, curve in curves:
        for place, k in enumerate(KS):
            assert found.pop(f"val-{stem}/pass@{k}") == pytest.approx(curve["pass_at_k"][place], abs=1e-12)
            for end in ("low", "high"):
                name = f"val-aux/{stem.partition('/')[2]}/pass@{k}/{end}"
                assert found.pop(name) == pytest.approx(curve[end][place], abs=1e-12)
    covers = {f"val-aux/math/acc/cover@{float(tau):g}": cover for tau, cover in expected["cover_at"].items()}
    assert found == pytest.approx(covers, abs=1e-12)
    assert len(covers) == 4


def test_the_trainer_logs_it_and_the_console_shows_it(answers, monkeypatch, tmp_path):
    """The samples come as they were complete; two of them could not be graded, and one was lost."""
    terminal = io.StringIO()
    monkeypatch.setattr(events, "_listeners", [Console(terminal)])
    options = (
        "trainer.pass_at_k=[1,4,16]",
        "actor_rollout_ref.rollout.val_kwargs.n=16",
        f"trainer.output_dir={tmp_path}",
    )
    trainer = trainer_with(*options)
    rows = [{"extra_info": {"level": one[0][2], "subject": None}} for one in answers]
    trainer._val_rows = [row["extra_info"] for row in rows]
    flat = [(f"u{q}", label, 1.0, 0.0) for one in answers for q, label, _ in one]
    flat[0], flat[17] = (flat[0][0], 0, 0.0, 1.0), (flat[17][0], 0, 0.0, 1.0)
    del flat[-1]
    random.Random(1).shuffle(flat)
    infos = {
        "acc": [float(label) for _, label, *_ in flat],
        "reward": [float(label) for _, label, *_ in flat],
        "grader_error": [error for *_, error in flat],
    }
    expected = {("math", f"u{q}"): 16 for q in range(40)}
    metrics = trainer._val_metrics_update(
        ["math"] * len(flat), [uid for uid, *_ in flat], infos, [1] * len(flat), expected_acc_counts=expected
    )
    graded = [list(one) for one in answers]
    del graded[0][0], graded[1][1]
    graded[39][-1] = (39, 0, LEVELS[0])
    counts = counts_of(graded)
    own = described(counts, {"math": {"level": [one[0][2] for one in answers]}}, KS)
    assert {name: metrics[name] for name in own} == own
    first, *others = terminal.getvalue().splitlines()
    assert f"math/acc/pass@16 {own['val-core/math/acc/pass@16']:.3f} [" in first
    assert others[0].startswith("  math/acc: cover@0.25 ")
    assert [line.split(":")[0] for line in others[1:]] == [f"  math/level/Level {level}" for level in (1, 2, 10)]


def test_what_rows_say_is_noted_as_they_pass():
    batches = [
        {"raw_prompt": [1, 2], "extra_info": [{"level": 3, "subject": "a"}, None]},
        {"raw_prompt": [3], "extra_info": [{"level": 1}]},
        {"raw_prompt": [4]},
    ]
    rows = []
    assert list(noting(batches, rows)) == batches
    assert rows == [{"level": 3, "subject": "a"}, {}, {"level": 1}, {}]
    assert groups_of(["m", "n", "m", "n"], rows) == {"m": {"level": ["3", "1"]}, "n": {}}


def test_a_validation_sees_the_rows_of_its_own(monkeypatch):
    from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync

    trainer = trainer_with()
    trainer.val_dataloader = loader = [{"raw_prompt": [1], "extra_info": [{"level": 3}]}]
    monkeypatch.setattr(PPOTrainerSync, "_validate", lambda self: {"n": len(list(self.val_dataloader))})
    for _ in range(2):
        assert trainer._validate() == {"n": 1}
        assert (trainer._val_rows, trainer.val_dataloader) == ([{"level": 3}], loader)


def test_problems_without_a_graded_sample_and_k_beyond_the_graded_ones_are_left_out():
    found = described({"math": ([0, 2, 1], [0, 3, 2])}, {}, [1, 3, 4])
    assert found["val-core/math/acc/pass@1"] == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert found["val-core/math/acc/pass@3"] == 1.0
    assert not [name for name in found if "pass@4" in name]
    assert described({"math": ([0], [0])}, {}, [1]) == {}


OUTCOMES = st.lists(st.integers(0, 4), min_size=2, max_size=12)


@given(OUTCOMES, OUTCOMES, st.sampled_from([1, 2, 4]))
def test_the_difference_from_the_base_is_over_the_same_problems(base, now, k):
    size = min(len(base), len(now))
    both = [{"a": (one[: size - 1], [4] * (size - 1)), "b": (one[size - 1 : size], [4])} for one in (base, now)]
    found = difference_from(both[0], both[1], k)
    assert found.difference.num_problems == size
    pooled = [
        described({"all": (one[:size], [4] * size)}, {}, [k])[f"val-core/all/acc/pass@{k}"] for one in (base, now)
    ]
    assert found.before == pytest.approx(pooled[0])
    assert found.difference.difference == pytest.approx(pooled[1] - pooled[0])
    assert difference_from({"a": ([0], [0])}, {"a": ([1], [4])}, k) is None
    assert difference_from({"a": ([0, 0], [2, 2])}, {"a": ([1, 1], [4, 4])}, 4) is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["trainer.pass_at_k=[1,32]"],
            r"pass_at_k=\[1,32\]: pass@32 needs 32 samples .*val_kwargs.n=16. Set it to at least 32",
        ),
        (["trainer.pass_at_k=[]"], r"pass_at_k=\[\] must be different whole numbers from 1"),
        (["trainer.pass_at_k=[0,1]"], "must be different whole numbers"),
        (["trainer.pass_at_k=[1,1]"], "must be different whole numbers"),
        (["trainer.pass_at_k=[1.5]"], "must be different whole numbers"),
        (["actor_rollout_ref.rollout.val_kwargs.temperature=0"], "would be the same answer"),
        (["trainer.val_before_train=False"], "trainer.test_freq=-1 makes none"),
    ],
)
def test_a_k_that_validation_cannot_tell(options, message):
    val = "actor_rollout_ref.rollout.val_kwargs"
    given = ["trainer.pass_at_k=[1,16]", f"{val}.n=16", f"{val}.temperature=1", *options]
    config = compose_config(given, device="cpu")
    with pytest.raises(ValueError, match=message):
        check_pass_at_k(config)


def test_choosing_by_a_pass_at_k_that_is_not_measured():
    options = ["trainer.best_checkpoint.metric=val-core/math/acc/pass@8", "trainer.test_freq=1", "trainer.save_freq=1"]
    with pytest.raises(ValueError, match="needs pass@8 of every validation: add 8 to trainer.pass_at_k"):
        check_best_checkpoint(compose_config([*options, "trainer.pass_at_k=[1,4]"], device="cpu"))
    check_best_checkpoint(compose_config([*options, "trainer.pass_at_k=[1,8]"], device="cpu"))


def test_a_reward_function_that_says_nothing_of_correct_answers():
    trainer = trainer_with("trainer.pass_at_k=[1]", "trainer.output_dir=null")
    with pytest.raises(RuntimeError, match=r"trainer.pass_at_k=\[1\] counts correct answers"):
        trainer._record_validation(["a"], ["u"], {"reward": [1.0]}, None)
