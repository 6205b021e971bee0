"""A published launcher's arguments set the options that the table names; its baseline is the evaluation."""

from pathlib import Path

import pytest
import torch

from verl_ext.commands import evaluate
from verl_ext.evaluation.run_options import EvaluationOptions, parse
from verl_ext.objectives.estimators import ESTIMATORS
from verl_ext.study import __main__ as command
from verl_ext.study.baseline import evaluation_arguments
from verl_ext.study.published import ALWAYS, ARGUMENTS, launcher_options, table
from verl_ext.training.configuration import compose_on_device, option_names
from verl_ext.training.option_file import as_overrides

DOCS = (Path(__file__).parents[2] / "docs/studies.md").read_text(encoding="utf-8")
DATA = ("data.train_files=train.parquet", "data.val_files=test.parquet")


def options_of(*arguments):
    return dict(option.split("=", 1) for option in launcher_options(arguments))


def test_the_page_has_the_table():
    assert table() in DOCS


def test_every_option_of_the_table_is_one_of_the_launcher():
    known = set(option_names(compose_on_device(["device=gpu"])))
    named = {option for each in ARGUMENTS for option in each.options}
    assert named - {"device"} <= known, "device chooses a file of options and is none itself"
    assert set(ALWAYS) <= known


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--objective", "NSR"), {"algorithm.adv_estimator": "nsr"}),
        (("--objective", "PSR"), {"algorithm.adv_estimator": "psr"}),
        (("--objective", "W_REINFORCE", "--lambda_psr", "0.3"),
         {"algorithm.adv_estimator": "w_reinforce", "algorithm.positive_advantage_weight": "0.3"}),
        (("--objective", "RLVR"), {"algorithm.adv_estimator": "grpo", "algorithm.norm_adv_by_std_in_grpo": "True"}),
        (("--model_id", "some/model"), {"actor_rollout_ref.model.path": "some/model"}),
        (("--max_tokens", "512"), {"data.max_response_length": "512"}),
        (("--rollout_batch_size", "64", "--group_size", "2"),
         {"data.train_batch_size": "32", "actor_rollout_ref.actor.ppo_mini_batch_size": "32",
          "actor_rollout_ref.rollout.n": "2"}),
        (("--rollouts_per_prompt=4",), {"actor_rollout_ref.rollout.n": "4", "data.train_batch_size": "32"}),
        (("--grad_acc_steps", "16"),
         {"actor_rollout_ref.actor.use_dynamic_bsz": "False",
          "actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu": "8"}),
        (("--n_train_steps", "80"), {"trainer.total_training_steps": "80", "trainer.save_freq": "80"}),
        (("--lr", "1e-6"), {"actor_rollout_ref.actor.optim.lr": "1e-06"}),
        (("--clip_range", "0.1"), {f"actor_rollout_ref.actor.clip_ratio{end}": "0.1" for end in ("", "_low", "_high")}),
        (("--temperature", "1"),
         {"actor_rollout_ref.rollout.temperature": "1.0", "actor_rollout_ref.rollout.val_kwargs.temperature": "1.0"}),
        (("--eval_every", "20"), {"trainer.test_freq": "20"}),
        (("--gpu_mem_util", "0.7"), {"actor_rollout_ref.rollout.gpu_memory_utilization": "0.7"}),
        (("--loss_type", "standard"), {"actor_rollout_ref.actor.loss_agg_mode": "seq-mean-token-mean"}),
        (("--loss_type", "length_normalized", "--max_tokens", "512"),
         {"actor_rollout_ref.actor.loss_agg_mode": "seq-mean-token-sum-norm",
          "actor_rollout_ref.actor.loss_scale_factor": "512", "algorithm.norm_adv_by_std_in_grpo": "False"}),
        (("--group_normalize",), {"algorithm.group_normalize": "True", "algorithm.adv_estimator": "nsr"}),
        (("--group_normalize", "--objective", "RLVR"), {"algorithm.group_normalize": "False"}),
        (("--seed", "7"), {"data.seed": "7", "actor_rollout_ref.rollout.seed": "7"}),
        (("--output_dir", "out", "--exp_name", "mine"),
         {"trainer.output_dir": "out/mine", "trainer.experiment_name": "mine"}),
        (("--objective", "W_REINFORCE"), {"trainer.output_dir": "./output/W_REINFORCE_tokens256_lambda0.1"}),
        (("--device", "cuda"), {"device": "gpu"}),
        (("--device", "cpu"), {"device": "cpu"}),
        (("--seed", "7", "data.seed=8"), {"data.seed": "8"}),
    ],
)  # fmt: skip
def test_each_argument(arguments, expected):
    assert {name: options_of(*arguments).get(name) for name in expected} == expected


def test_every_argument_of_the_table_changes_its_options():
    """Those above hold the values; here nothing of the table is left without an effect, and nothing else moves."""
    others = {"objective": "PSR", "loss_type": "length_normalized", "device": "cpu", "exp_name": "x", "model_id": "m"}
    before = options_of()
    for each in ARGUMENTS:
        value = others.get(each.name, "elsewhere" if each.kind is str else "1" if each.name == "group_size" else "32")
        after = options_of(f"--{each.name}", *([] if each.kind is bool else [value]))
        changed = {name for name in {*before, *after} if before.get(name) != after.get(name)}
        consequences = {"trainer.output_dir", "trainer.experiment_name", "data.train_batch_size"}
        consequences |= {"actor_rollout_ref.actor.ppo_mini_batch_size"}
        assert changed, each.name
        assert changed <= {*each.options, *consequences}, each.name


@pytest.mark.parametrize("objective", ["NSR", "PSR", "W_REINFORCE", "RLVR"])
def test_a_run_composes_on_its_device(objective, capsys):
    arguments = ["experiment", "--dry-run", "--objective", objective, "--device", "cuda", *DATA]
    assert command.main(arguments) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("python -m verl_ext.training.main ")
    assert "data.val_files=test.parquet" in printed


def test_what_is_composed():
    config = compose_on_device(launcher_options(["--device", "cuda", "--grad_acc_steps", "16", *DATA]))
    actor = config.actor_rollout_ref.actor
    assert config.data.train_batch_size * config.actor_rollout_ref.rollout.n == 128
    assert actor.ppo_micro_batch_size_per_gpu == 128 // 16
    assert (list(actor.optim.betas), actor.optim.weight_decay, actor.grad_clip) == ([0.9, 0.95], 0.01, 1.0)
    assert set(as_overrides(ALWAYS)) <= set(launcher_options([]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--objektive", "NSR"), "--objektive is no argument of experiment. There are --objective, "),
        (("--rollout_batch_size", "100"), "must be a multiple of --group_size=8"),
        (("--rollout_batch_size", "0"), "must be a multiple"),
        (("--grad_acc_steps", "3"), "must be a multiple of --grad_acc_steps=3"),
        (("--objective", "RLVR", "--group_normalize", "--dry-run", "data.trian_files=x", *DATA), "Did you mean"),
    ],
)
def test_what_is_refused(arguments, message, capsys):
    assert command.main(["experiment", *arguments]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--objective", "GRPO"), "error: argument --objective: invalid choice: 'GRPO'"),
        (("--lr", "much"), "error: argument --lr: invalid float value: 'much'"),
    ],
)
def test_a_value_that_cannot_be_is_refused(arguments, message, capsys):
    with pytest.raises(SystemExit) as ended:
        command.main(["experiment", *arguments])
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith(message)


def test_an_unknown_command_is_named(capsys):
    assert command.main(["make"]) == 2
    assert (
        "There is no command 'make'. There are run, evaluate, results, experiment and baseline."
        in capsys.readouterr().err
    )


# ---------------------------------------------------------------------- the choice that is not copied


def advantages(name, scores):
    """Of one group, rounded as the page has them."""
    rewards_BT = torch.tensor(scores).unsqueeze(-1)
    options = {"group_normalize": True}
    advantages_BT, _ = ESTIMATORS[name](
        rewards_BT, torch.ones_like(rewards_BT), config=options, index=["a"] * len(scores)
    )
    return [f"{value + 0.0:.2f}".replace("-", "\u2212") for value in advantages_BT[:, 0].tolist()]


def test_the_numbers_of_the_page():
    """Two of eight are right: normalized in the whole group, and in what a sign leaves of it."""
    group = [1.0, 1.0, *[-1.0] * 6]
    right, wrong = advantages("psr", group)[0], advantages("nsr", group)[-1]
    assert f"gives {right} to each of the two that are right and {wrong} to the six that are wrong" in DOCS
    assert set(advantages("psr", group)) == {right, "0.00"}
    assert set(advantages("nsr", group)) == {wrong, "0.00"}
    assert set(advantages("psr", group[:2])) == set(advantages("nsr", group[2:])) == {"0.00"}


# ---------------------------------------------------------------------- the baseline


def test_the_baseline_is_the_evaluation(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(evaluate, "main", lambda arguments, _description: seen.append(arguments) or 0)
    data, output = str(tmp_path / "test.parquet"), str(tmp_path / "base.jsonl")
    assert command.main(["baseline", "--model", "some/model", "--data", data, "--output_path", output]) == 0
    options = parse(seen[0], "")
    assert isinstance(options, EvaluationOptions)
    assert (options.model_path, str(options.data), str(options.output_path)) == ("some/model", data, output)
    assert options.sampling == {"num_samples": 1, "temperature": 1.0, "top_p": 1.0, "max_tokens": 256}
    assert options.max_model_len == 2048


def test_its_arguments_and_those_of_the_evaluation():
    arguments = [
        "-m",
        "m",
        "--max_tokens",
        "64",
        "--gpu_mem_util",
        "0.4",
        "--num_samples",
        "8",
        "--max_model_len",
        "512",
    ]
    options = parse(evaluation_arguments([*arguments, "--task", "GSM8K", "--output_dir", "out"]), "")
    assert options.engine_options == {"gpu_memory_utilization": 0.4}
    assert (options.sampling["num_samples"], options.sampling["max_tokens"], options.max_model_len) == (8, 64, 512)


def test_a_baseline_without_problems_is_an_error(capsys):
    assert command.main(["baseline", "--model", "m"]) == 2
    assert "Give the problems either by --task or by --data." in capsys.readouterr().err
