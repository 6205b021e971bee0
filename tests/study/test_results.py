"""Results of a study from what its runs have left, finished or not."""

import json
import re
import shutil

import pytest
import yaml

from tests.study.made_runs import add_validation, make_runs
from verl_ext.plots import cell_figures
from verl_ext.report import objective_blocks
from verl_ext.report.page_blocks import Commands, Paragraph
from verl_ext.study.__main__ import main
from verl_ext.study.grid_file import read_grid
from verl_ext.study.question import question_of

COMMENT = """# What do they do?
# Two of them.
#
#   make the model
#   make the runs
#
# And then look.
"""


@pytest.fixture
def made(tmp_path, monkeypatch):
    """Make a study's folder and its results; the functions of a test change things in between."""

    class Made:
        file, output, results = tmp_path / "study.yaml", tmp_path / "out", tmp_path / "results"

        def runs(self, *, objectives=("psr", "nsr"), seeds=(1, 2), content=None, **options):
            grid = {"objective": {name: {"algorithm.adv_estimator": name} for name in objectives}}
            common = {"actor_rollout_ref.model.path": "models/small", "data.val_files": "test.parquet"}
            content = content or {"grid": grid, "seeds": list(seeds)}
            self.file.write_text(COMMENT + yaml.safe_dump({"options": common, **content}, sort_keys=False))
            make_runs(self.file, self.output, **{"num_problems": 8, "num_samples": 4, "steps": (0, 10, 20)} | options)
            return self

        def show(self, *more, draws=False):
            if not draws:  # the longest part of it, and tested where it is
                for name in ("cell_figures", "training_figures"):
                    monkeypatch.setattr(cell_figures, name, lambda *_, **__: {})
            arguments = [str(self.file), f"trainer.output_dir={self.output}", "--output", str(self.results)]
            return main(["results", *arguments, *more])

        def numbers(self):
            return json.loads((self.results / "results.json").read_text())

    return Made()


def test_page_numbers_and_pictures(made, capfd):
    assert made.runs().show(draws=True) == 0
    page = (made.results / "README.md").read_text()
    assert page.startswith("# Study study\n\nWhat do they do? Two of them.\n\n**Decided:** ")
    assert "```bash\nmake the model\nmake the runs\n```\n\nAnd then look." in page
    assert "python -m verl_ext.study run " in page
    assert "python -m verl_ext.study results " in page
    for fact in (
        "| seeds | 1, 2 |",
        "8 of countdown, 4 samples of each",
        "| processor | a processor, 2 cores |",
        "0123abc",
    ):
        assert fact in page
    assert "| time | 7 min of 4 runs added up |" in page, "100 s each, from study.json"
    shown = re.findall('src(?:set)?="([^"]+)"', page)
    assert {"training_1.png", "training_1_narrow.png", "all_training_1.png", "pass_at_k.png"} <= set(shown)
    assert {name for name in shown if not (made.results / name).is_file()} == set()
    assert all((made.results / name).with_suffix(".svg").is_file() for name in shown if "_narrow" not in name)
    html = (made.results / "report.html").read_text()
    assert html.count("<figure") == len(shown) / 2
    assert "Study study" in html
    numbers = made.numbers()
    assert (numbers["step"], numbers["ks"], numbers["num_problems"]) == (20, [1, 2, 4], 8)
    assert [(cell["name"], cell["seeds"]) for cell in numbers["cells"]] == [
        ("psr", ["seed1", "seed2"]),
        ("nsr", ["seed1", "seed2"]),
    ]
    assert numbers["bases"][0]["num_validations"] == 2, "one for each seed"
    assert [row["name"] for row in numbers["versus_base"]] == ["psr", "psr", "nsr", "nsr"]
    assert numbers["left_out"] == []
    assert "README.md, report.html, results.json, pass_at_k.png" in capfd.readouterr().out


def weighed(made, monkeypatch, objectives):
    """Names of the panels that are drawn of a study of these objectives, and its page."""
    drawn = []
    figure = objective_blocks.objective_weights_figure

    def watched(curves, **options):
        drawn.append([curve.name for curve in curves])
        return figure(curves, **options)

    monkeypatch.setattr(objective_blocks, "objective_weights_figure", watched)
    grid = {name: {"algorithm.adv_estimator": name, **options} for name, options in objectives.items()}
    size = {"size": {"four": {"actor_rollout_ref.rollout.n": 4}}}
    assert made.runs(content={"grid": {"objective": grid} | size, "seeds": [1, 2]}).show() == 0
    return drawn, (made.results / "README.md").read_text()


def test_the_page_has_what_its_objectives_weigh(made, monkeypatch):
    objectives = {"psr": {}, "w_reinforce": {"algorithm.positive_advantage_weight": 0.3}, "grpo": {}, "gae": {}}
    drawn, page = weighed(made, monkeypatch, objectives)
    assert drawn == [["PSR", "W-REINFORCE, λ = 0.3", "GRPO"]] * 2, "once for a window and once for a phone"
    section = page.partition("## What each objective weighs\n")[2].partition("\n## ")[0]
    assert 'src="objective_weights.png"' in section
    assert "over a prompt's accuracy: PSR; W-REINFORCE, λ = 0.3; GRPO" in section.replace("&#x27;", "'")
    assert "gae-four-seed1 and gae-four-seed2 (algorithm.adv_estimator=gae is no formula of a prompt's" in section
    for name in ("objective_weights.png", "objective_weights_narrow.png", "objective_weights.svg"):
        assert (made.results / name).is_file()


def test_a_study_without_such_weights_says_so(made, monkeypatch):
    drawn, page = weighed(made, monkeypatch, {"gae": {}})
    assert drawn == []
    assert "Not drawn: gae-four-seed1 and gae-four-seed2 (algorithm.adv_estimator=gae is no" in page
    assert "objective_weights" not in page
    assert made.results.joinpath("report.html").is_file()


def test_runs_that_are_not_finished_are_listed_and_in_no_number(made, capsys):
    made.runs(objectives=("psr", "nsr", "grpo"), seeds=(1, 2))
    record = made.output / "study.json"
    study = json.loads(record.read_text())
    for entry in study["runs"]:
        entry["state"] = {"psr-seed1": "failed", "nsr-seed1": "running"}.get(entry["name"], "done")
    record.write_text(json.dumps(study))
    (made.output / "psr-seed1/checkpoints/latest_checkpointed_iteration.txt").write_text("10")
    shutil.rmtree(made.output / "psr-seed2")
    (made.output / "grpo-seed1/validation.jsonl").unlink()
    with (made.output / "grpo-seed2/validation.jsonl").open("a") as file:
        file.write('{"step": 30, "data_so')
    assert made.show() == 0
    said = capsys.readouterr()
    assert "grpo-seed2/validation.jsonl, line 4, is cut and left out." in said.err
    numbers = made.numbers()
    assert [(cell["name"], cell["seeds"]) for cell in numbers["cells"]] == [
        ("nsr", ["seed1", "seed2"]),  # seed1's checkpoint is of the last step, whatever study.json says
        ("grpo", ["seed2"]),
    ]
    assert {each["name"]: each["why"] for each in numbers["left_out"]} == {
        "psr-seed1": "not finished (failed)",
        "psr-seed2": "not begun",
        "grpo-seed1": "has no validation.jsonl: it was made without trainer.test_freq, and not evaluated",
    }
    page = (made.results / "README.md").read_text()
    assert "- In no number: psr-seed2: not begun" in page
    assert "in no number: psr-seed2: not begun" in said.out


def test_a_run_that_has_logged_nothing_is_named(made):
    made.runs()
    (made.output / "nsr-seed2/metrics.jsonl").unlink()
    assert made.show() == 0
    page = (made.results / "README.md").read_text()
    said = "- In no curve of training, whose means are over the other seeds: nsr-seed2, without a metrics.jsonl"
    assert said in page.splitlines()
    assert page.index("## What is missing") < page.index(said)


def test_a_run_that_has_ended_early_is_finished(made):
    made.runs()
    (made.output / "study.json").unlink()
    folder = made.output / "psr-seed1/checkpoints"
    (folder / "latest_checkpointed_iteration.txt").write_text("10")
    (folder / "ended.json").write_text('{"step": 10, "reason": "validation no longer rises"}')
    assert made.show() == 0
    numbers = made.numbers()
    assert len(numbers["cells"][0]["seeds"]) == 2
    assert numbers["facts"]["time"] == "not recorded"


def test_what_the_file_compares_is_corrected_and_all_else_is_exploratory(made):
    objectives = {name: {"algorithm.adv_estimator": name} for name in ("psr", "nsr", "grpo")}
    content = {"grid": {"objective": objectives}, "seeds": [1, 2], "compare": {"grpo": ["psr"]}}
    assert made.runs(content=content).show() == 0
    rows = made.numbers()["between_cells"]
    assert [(row["name"], row["base"], row["is_primary"]) for row in rows if row["k"] == 1] == [
        ("psr", "grpo", True),
        ("nsr", "psr", False),
        ("grpo", "nsr", False),
    ]
    assert [row["p_holm"] is None for row in rows] == [False, False, True, True, True, True]
    assert "| exploratory |" in (made.results / "README.md").read_text()


@pytest.mark.parametrize(
    ("content", "cells"),
    [
        ({"seeds": [1]}, ["run"]),
        ({"runs": [{"name": "grpo", "options": {"algorithm.adv_estimator": "grpo"}}]}, ["grpo"]),
        (
            {
                "grid": {
                    "lambda": {f"lambda_{w}": {"algorithm.positive_advantage_weight": w} for w in (0, 1)},
                    "clip": {"off": {}},
                },
                "runs": [{"name": "nsr", "options": {"algorithm.adv_estimator": "nsr"}}],
            },
            ["lambda_0-off", "lambda_1-off", "nsr"],
        ),
    ],
)
def test_other_shapes_of_studies(made, content, cells):
    assert made.runs(content=content).show() == 0
    assert [cell["name"] for cell in made.numbers()["cells"]] == cells


def test_options_that_were_given_behind_the_file_are_in_the_command(made):
    made.runs()
    record = made.output / "study.json"
    record.write_text(
        record.read_text().replace('"trainer.experiment_name', '"trainer.test_freq=5", "trainer.experiment_name')
    )
    assert made.show() == 0
    (command,) = [line for line in (made.results / "README.md").read_text().splitlines() if "study run" in line]
    assert command.endswith("study.yaml trainer.test_freq=5")


def evaluated(made, correct=2, *, only="*", **drawn):
    """Let evaluate have drawn from the base and the last checkpoint of runs, with ``correct`` of 4 answers to each problem."""
    for folder in made.output.glob(f"{only}-seed*"):
        for step in (0, 20):
            add_validation(folder, step, [correct] * 8, 4, drawn={"by": "evaluate", "temperature": 1.0, **drawn})


def test_what_evaluate_drew_is_not_compared_with_validations(made):
    """Training changes nothing; validation takes the likeliest answer, which is right where half of all answers are."""
    made.runs()
    for path in made.output.glob("*/validation.jsonl"):
        path.unlink()
        for step in (0, 20):
            add_validation(path.parent, step, [4] * 8, 4)
    evaluated(made, only="psr")
    for more, score in ((None, 1.0), ("nsr", 0.5)):
        if more:
            evaluated(made, only=more)
        assert made.show() == 0
        numbers = made.numbers()
        assert [base["pass_at_k"][0]["mean"] for base in numbers["bases"]] == [pytest.approx(score)]
        for cell in numbers["cells"]:
            assert cell["pass_at_k"][0]["mean"] == pytest.approx(score)
        assert [row["difference"] for row in numbers["versus_base"]] == pytest.approx([0.0] * 4)
        assert ("are in no number" in numbers["facts"]["answers"]) == (more is None)


def test_the_answers_of_evaluate_are_in_the_commands_where_they_are_compared(made):
    made.runs()
    record = made.output / "study.json"
    record.write_text(
        record.read_text().replace('"trainer.experiment_name', '"trainer.test_freq=5", "trainer.experiment_name')
    )
    start = "python -m verl_ext.study"
    for only, expected in (
        ("psr", ["run trainer.test_freq=5", "results"]),
        ("nsr", ["run trainer.test_freq=5", "evaluate --num_samples 4 trainer.test_freq=5", "results"]),
    ):
        evaluated(made, only=only)
        assert made.show() == 0
        page = (made.results / "README.md").read_text()
        section = page.partition("## How to reproduce it\n\n```bash\n")[2].partition("\n```")[0]
        *commands, results = [line.replace(f" {made.file}", "") for line in section.splitlines()]
        assert [*commands, results.partition(" trainer.output_dir")[0]] == [f"{start} {words}" for words in expected]


def test_a_base_at_another_temperature_is_another_one(made):
    temperature = "actor_rollout_ref.rollout.temperature"
    made.runs(content={"grid": {"t": {f"t_{t}": {temperature: t} for t in (0.5, 1.0)}}, "seeds": [1, 2]})
    assert made.show() == 0
    assert len(made.numbers()["bases"]) == 1, "validations do not depend on it"
    evaluated(made, 1, only="t_0.5", temperature=0.5)
    evaluated(made, 3, only="t_1.0", temperature=1.0)
    assert made.show() == 0
    numbers = made.numbers()
    assert {base["model"]: base["pass_at_k"][0]["mean"] for base in numbers["bases"]} == {
        "temperature 0.5": pytest.approx(0.25),
        "temperature 1.0": pytest.approx(0.75),
    }
    assert {row["difference"] for row in numbers["versus_base"]} == {0.0}


def empty(made):
    shutil.rmtree(made.output)


def other_problems(made):
    path = made.output / "nsr-seed2/run.json"
    path.write_text(path.read_text().replace("test.parquet", "other.parquet"))


def more_problems(made):
    (made.output / "nsr-seed2/validation.jsonl").unlink()
    for step in (0, 20):
        add_validation(made.output / "nsr-seed2", step, [1] * 9, 4)


def two_sources(made):
    for run in made.output.glob("*-seed*"):
        add_validation(run, 20, [1, 2], 4, source="gsm8k")


def damaged(made):
    (made.output / "study.json").write_text("{")


def some_evaluated(made):
    for path in made.output.glob("*/validation.jsonl"):
        path.write_text(path.read_text().splitlines(keepends=True)[0])
    evaluated(made, only="psr")


def seeds_at_two_temperatures(made):
    evaluated(made, only="*", temperature=1.0)
    add_validation(made.output / "nsr-seed2", 20, [1] * 8, 4, drawn={"by": "evaluate", "temperature": 0.5})


def none_has_validations(made):
    for path in made.output.glob("*/validation.jsonl"):
        path.unlink()


@pytest.mark.parametrize(
    ("change", "more", "message"),
    [
        (
            empty,
            [],
            "No run of .* is finished and has validations .psr-seed1: not begun; .* and 1 more.. Make them with python -m",
        ),
        (none_has_validations, [], "psr-seed1: has no validation.jsonl: it was made without trainer.test_freq"),
        (other_problems, [], "nsr-seed2 was validated on other.parquet and psr-seed1 on test.parquet"),
        (more_problems, [], "nsr-seed2 was validated on 9 problems and nsr-seed1 on 8"),
        (two_sources, [], "several data sources. Choose --data_source from countdown, gsm8k."),
        (
            two_sources,
            ["--data_source", "gsm"],
            "--data_source gsm is in no validation. Choose --data_source from countdown, gsm8k.",
        ),
        (
            some_evaluated,
            [],
            "nsr-seed1 was not drawn from by evaluate, as other runs were, and psr-seed1 has no validation",
        ),
        (
            seeds_at_two_temperatures,
            [],
            r"nsr-seed2 .temperature 0.5. and nsr-seed1 .temperature 1.0. are seeds of one cell",
        ),
        (damaged, [], "study.json is empty or damaged"),
        (None, ["--data_source"], "--data_source needs the name of a data source"),
        (
            None,
            ["--dry-run"],
            "--dry-run is no option of results. There are --output, --data_source and trainer.output_dir=DIR.",
        ),
        (None, ["trainer.save_freq=3"], "trainer.save_freq=3 is no option of results"),
    ],
)
def test_bad_input(made, capsys, change, more, message):
    made.runs()
    if change is not None:
        change(made)
    assert made.show(*more) == 2
    said = capsys.readouterr().err
    assert re.search(message, said), said
    assert not made.results.exists()


def test_a_file_that_is_no_study_is_named(tmp_path, capsys):
    file = tmp_path / "study.yaml"
    file.write_text("grit: {}\n")
    assert main(["results", str(file)]) == 2
    assert "has no key grit. Did you mean grid?" in capsys.readouterr().err
    assert main(["results"]) == 2
    assert "The first argument behind results is a file of a study" in capsys.readouterr().err


def test_a_data_source_can_be_chosen(made):
    two_sources(made.runs())
    assert made.show("--data_source=gsm8k") == 0
    assert made.numbers()["num_problems"] == 2
    assert made.numbers()["bases"] == []


def test_the_question_is_the_comment(tmp_path):
    file = tmp_path / "study.yaml"
    file.write_text(COMMENT + "seeds: [1]\n# not this\n")
    assert question_of(file) == (
        "What do they do? Two of them.",
        [Commands(["make the model", "make the runs"]), Paragraph("And then look.")],
    )
    file.write_text("seeds: [1]\n")
    assert question_of(file) == ("", [])
    file.write_text("#   make it\n# and then\n")
    assert question_of(file) == ("", [Commands(["make it"]), Paragraph("and then")])


def test_cell_names(tmp_path):
    file = tmp_path / "study.yaml"
    file.write_text("grid: {a: {x: {}, y: {}}}\nruns: [{name: b-seed1-c}]\nseeds: [1, 12]\n")
    assert [run.cell for run in read_grid(file)] == ["x", "x", "y", "y", "b-seed1-c", "b-seed1-c"]
