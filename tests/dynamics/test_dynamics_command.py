import json
from math import isnan

import numpy as np
import pytest
import torch

from verl_ext.analysis.__main__ import main
from verl_ext.data.parquet import write_rows
from verl_ext.data.rows import make_row
from verl_ext.dynamics import dynamics_command
from verl_ext.dynamics.checkpoint_list import CheckpointAt, CheckpointRun
from verl_ext.dynamics.checkpoint_measures import Asked, ask, logits_of, measure
from verl_ext.dynamics.dynamics_command import clip_since, run_dynamics
from verl_ext.dynamics.dynamics_options import DynamicsOptions
from verl_ext.dynamics.policy import Policy
from verl_ext.evaluation.problems import problems_of_file
from verl_ext.small_model.build import TINY, random_model


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("rows") / "problems.parquet"
    reference = '{"numbers": [1, 2, 3], "target": 6}'
    write_rows(
        [
            make_row(
                data_source="countdown",
                prompt=f"1 2 3 = {n}",
                ground_truth=reference,
                index=n,
                split="test",
            )
            for n in range(3)
        ],
        path,
    )
    return path


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    return random_model(tmp_path_factory.mktemp("model") / "step-4", architecture=TINY, seed=5)


def test_measures_of_known_answers(policy, batch, other):
    """Two prompts, three answers each: shares, counts and means that can be redone."""
    asked = Asked(batch, [[True, False, False], [True, True, False]], [["1+2+3", "6", "6"], ["4*5"]])
    found = measure(policy, 7, asked, asked, logits_of(policy))
    assert (found.step, found.correct_ratio, found.distinct, found.moved) == (7, 0.5, 1.5, 0.0)
    assert found.response_length == pytest.approx(np.mean([6, 2, 3, 4, 2, 4]))
    moved = measure(Policy(other), 8, asked, asked, logits_of(policy)).moved
    total, tokens = 0.0, 0
    for responses in batch:
        first, second = (logits_of(each)(responses).softmax(-1) for each in (policy, Policy(other)))
        # what one has above the other, which is as much as it has below it
        total += float((first - second).clamp(min=0).sum(-1)[responses.mask_BT].sum())
        tokens += int(responses.mask_BT.sum())
    assert moved == pytest.approx(total / tokens, rel=1e-4)
    assert 0 < moved < 1


def test_asking_twice_with_one_seed(policy, data):
    problems = problems_of_file(data)
    first, second = (ask(policy, problems, num_samples=5, max_tokens=6, seed=3) for _ in range(2))
    assert [group.texts for group in first.batch] == [group.texts for group in second.batch]
    assert [len(group) for group in first.is_correct] == [5, 5, 5]


def test_the_command_measures_every_checkpoint(tiny, other, data, tmp_path, capsys):
    out = tmp_path / "out"
    logged = {"step": 3, "data": {"train/clip_fraction/negative": 0.25}}
    (other.parent / "metrics.jsonl").write_text(json.dumps(logged) + "\n")
    arguments = ["dynamics", "--checkpoints", f"nsr={other.parent}", "--base", str(tiny), "--data", str(data)]
    assert main([*arguments, "--num_samples", "4", "--max_tokens", "6", "--output_dir", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "step 0" in printed
    assert "step 4" in printed
    found = json.loads((out / "dynamics.json").read_text())["runs"]["nsr"]
    assert found["steps"] == [0, 4]
    assert found["moved"][0] == 0.0
    assert found["moved"][1] > 0.0
    assert found["clip_negative"] == [None, 0.25]
    assert sorted(path.name for path in out.iterdir()) == ["dynamics.json", "dynamics.png", "logit_changes.png"]


def test_a_large_model_may_leave_out_what_is_slow(tiny, data, tmp_path):
    arguments = ["--num_samples", "2", "--max_tokens", "3", "--logit_positions", "0", "--output_dir", str(tmp_path)]
    assert main(["dynamics", "--checkpoints", f"small={tiny}", "--data", str(data), *arguments]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dynamics.json", "dynamics.png"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--checkpoints", "outputs/nsr"], "takes NAME=PATH"),
        (["--checkpoints", "a=x", "a=y"], "names a twice"),
        (["--checkpoints", "a=x", "--num_samples", "0"], "--num_samples must be a whole number from 1, got 0"),
        (
            ["--checkpoints", "a=x", "--logit_positions", "-1"],
            "--logit_positions must be a whole number from 0, got -1",
        ),
        (["--checkpoints", "a=nowhere"], "a: there is no folder nowhere"),
    ],
)
def test_what_the_command_refuses(arguments, message, data, capsys):
    assert main(["dynamics", *arguments, "--data", str(data)]) == 2
    assert message in capsys.readouterr().err


def test_there_is_one_analysis(capsys):
    assert main(["dynamcis"]) == 2
    assert "There is no analysis 'dynamcis'" in capsys.readouterr().err


def test_clip_fractions_are_means_since_the_checkpoint_before(tmp_path):
    path = tmp_path / "metrics.jsonl"
    clipped = {1: 0.1, 2: 0.3, 3: 0.5, 5: 0.9}
    path.write_text(
        "".join(
            json.dumps(
                {"step": step, "data": {"train/clip_fraction/negative": clipped[step]} if step in clipped else {}}
            )
            + "\n"
            for step in range(1, 8)
        )
    )
    run = CheckpointRun("nsr", tuple(CheckpointAt(tmp_path, step) for step in (0, 2, 6, 7)), path)
    found = clip_since(run, [0, 2, 6, 7])
    assert found["clip_negative"][1:3] == pytest.approx([0.2, 0.7])
    assert isnan(found["clip_negative"][0])
    assert isnan(found["clip_negative"][3])
    assert all(map(isnan, found["clip_positive"]))
    assert clip_since(CheckpointRun("nsr", run.checkpoints, None), [0]) == {}


def test_a_cut_metrics_file_is_found_before_a_model_is_loaded(tmp_path, monkeypatch):
    def loaded(path):
        pytest.fail(f"{path} was loaded first")

    monkeypatch.setattr(dynamics_command, "Policy", loaded)
    whole, cut = tmp_path / "whole.jsonl", tmp_path / "cut.jsonl"
    whole.write_text('{"step": 1, "data": {}}\n')
    cut.write_text('{"step": 1, "data": {}}\n{"step": 2, "da')
    runs = [CheckpointRun(path.stem, (CheckpointAt(tmp_path, 1),), path) for path in (whole, cut)]
    options = DynamicsOptions(checkpoints=[], data=tmp_path, output_dir=tmp_path / "out")
    with pytest.raises(ValueError, match=r"cut\.jsonl, line 2, is not a step like"):
        run_dynamics(runs, [], options)


def test_measuring_uses_no_other_random_numbers(policy, data):
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    ask(policy, problems_of_file(data), num_samples=2, max_tokens=4, seed=0)
    assert torch.equal(before, torch.random.get_rng_state())
