"""What CONTRIBUTING.md says of adding an objective, a task or a family of models, done in a copy of the repository.

Each addition touches the files that CONTRIBUTING.md lists and no others. Then it works, and the tests of everything that
could ask for one more file pass in the copy.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
COPIED = (
    "verl_ext",
    "tests",
    "recipes",
    "scripts",
    "docs",
    "eval",
    "pyproject.toml",
    "setup.py",
    "README.md",
    "CONTRIBUTING.md",
)


class Copy:
    """A copy of the repository that remembers which files were touched."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.touched = folder, set()
        for name in COPIED:
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
            copy(ROOT / name, folder / name)

    def read(self, name: str) -> str:
        return (self.folder / name).read_text(encoding="utf-8")

    def write(self, name: str, text: str) -> None:
        self.touched.add(name)
        (self.folder / name).write_text(text, encoding="utf-8")

    def insert(self, name: str, new: str, *, before: str) -> None:
        """Put ``new`` in front of the only place in a file that has ``before``."""
        parts = self.read(name).split(before)
        assert len(parts) == 2, f"{name} has {before!r} {len(parts) - 1} times"
        self.write(name, parts[0] + new + before + parts[1])

    def run(self, *arguments: str) -> str:
        """What Python prints when it runs in the copy."""
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env=os.environ | {"PYTHONPATH": str(self.folder)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
        return done.stdout

    def test(self, *names: str) -> None:
        """Run test files of the copy."""
        self.run("-m", "pytest", "-q", "-p", "no:cacheprovider", *names)


@pytest.fixture
def copy(tmp_path):
    made = Copy(tmp_path / "copy")
    assert made.run("-c", "import verl_ext; print(verl_ext.__file__)").startswith(str(made.folder))
    return made


def listed(what: str, name: str) -> set[str]:
    """The files that CONTRIBUTING.md lists for adding ``what``, for one that is called ``name``."""
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = page.split(f"**{what}**")[1].split("\n**")[0].split("\n`tests/test_contributing.py`")[0]
    paths = re.findall(r"`((?:verl_ext|tests|recipes|docs)/[^` ]+)`", section)
    return {path.replace("<name>", name) for path in paths}


GROUP_FILE = '''"""A correct response gets the share of wrong ones in its group."""

from verl_ext.objectives.groups import GroupFormula, OutcomeAdvantages
from verl_ext.objectives.algorithm_options import AlgorithmOptions


def formula_under(_options: AlgorithmOptions) -> GroupFormula:
    return lambda n, c: OutcomeAdvantages(correct=(n - c) / n, incorrect=0.0)
'''
TENSOR_FILE = '''"""The reward less its mean over the batch."""


def advantages(rewards_BT, mask_BT, prompts, options):
    scores_B = rewards_BT.sum(dim=-1)
    return (scores_B - scores_B.mean()).unsqueeze(-1) * mask_BT
'''
OBJECTIVE_TEST = """import sys

import pytest

from verl_ext.training.checks.algorithm import check_estimator
from verl_ext.training.configuration import compose_config

NAME, EXPECTED, NEEDS = {name!r}, {expected!r}, {needs!r}


def test_the_launcher_knows_it():
    check_estimator(compose_config([f"algorithm.adv_estimator={{NAME}}"], device="cpu"))
    assert "torch" not in sys.modules


def test_the_launcher_knows_whether_the_filter_may_drop_by_it():
    config = compose_config([f"algorithm.adv_estimator={{NAME}}", "algorithm.drop_zero_advantage=True"], device="cpu")
    if NEEDS is None:
        check_estimator(config)
    else:
        with pytest.raises(ValueError, match=f"this one {{NEEDS}}"):
            check_estimator(config)


def test_verl_gets_its_advantages():
    import torch
    from verl.trainer.ppo.core_algos import get_adv_estimator_fn

    rewards_BT = torch.tensor([[0.0, 1.0], [0.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    advantages_BT, _ = get_adv_estimator_fn(NAME)(rewards_BT, torch.ones(4, 2), config={{}}, index=["p"] * 4)
    assert advantages_BT.tolist() == [[value] * 2 for value in EXPECTED]
"""
OBJECTIVES = {
    # name -> its file, the row's formula, what is imported for it, the advantages of right, wrong, right, right
    "halves": (None, "SignWeights(positive=0.5, negative=0.5)", None, [0.5, -0.5, 0.5, 0.5], None),
    "wrong_share": (
        GROUP_FILE,
        "GroupRule(wrong_share.formula_under)",
        "from verl_ext.objectives import wrong_share\n",
        [0.25, 0.0, 0.25, 0.25],
        None,
    ),
    "centered": (
        TENSOR_FILE,
        'TensorRule("verl_ext.objectives.centered:advantages")',
        "from verl_ext.objectives.objective import TensorRule\n",
        [0.25, -0.75, 0.25, 0.25],
        "normalizes over the batch",
    ),
}
SECTION = """## {name}

A test's.

- **Formula:** a test's.
- **Paper:** none.
- **Options:** none.
- **Group size:** 1.
- **Filter:** off.
- **Use it when** you test.
- **Watch** nothing.

"""
CELLS = {"halves": "0.5 | −0.5", "wrong_share": "by group | by group", "centered": "by batch | by batch"}


def add_objective(copy, name):
    """Touches the files that are listed, and no other."""
    file, formula, imported, expected, needs = OBJECTIVES[name]
    table, page = "verl_ext/objectives/catalog.py", "docs/objectives.md"
    row = f'    Objective(name="{name}", formula={formula}, needs_beyond_rewards={needs!r}, summary="a test\'s"),\n'
    copy.touched.clear()
    copy.insert(table, row, before=")\n\nOBJECTIVES = ")
    if imported is not None:
        copy.insert(table, imported, before="from verl_ext.objectives.algorithm_options import")
    if file is not None:
        copy.write(f"verl_ext/objectives/{name}.py", file)
    copy.write(f"tests/objectives/test_{name}.py", OBJECTIVE_TEST.format(name=name, expected=expected, needs=needs))
    copy.insert(page, f"| [`{name}`](#{name}) | {CELLS[name]} | 1 | off |\n", before="\n## psr\n")
    copy.write(page, copy.read(page).replace(f"\n\n| [`{name}`]", f"\n| [`{name}`]"))
    copy.insert(page, SECTION.format(name=name), before="## verl's own")
    optional = {f"verl_ext/objectives/{name}.py"} if file is None else set()
    assert copy.touched == listed("An objective", name) - optional


def test_objectives(copy):
    """Two weights, a formula of a group's outcomes, and any function of tensors."""
    for name in OBJECTIVES:
        add_objective(copy, name)
    own = [f"tests/objectives/test_{name}.py" for name in OBJECTIVES]
    copy.test(*own, "-k", "launcher")  # in a process that has no torch
    others = [
        f"tests/{name}.py"
        for name in ("objectives/test_catalog", "objectives/test_groups", "test_imports", "test_docs")
    ]
    grouped = [name for name, (file, *_) in OBJECTIVES.items() if file is GROUP_FILE]
    chosen = [
        "verl_gets",
        "test_catalog",
        "test_imports",
        "catalogue",
        "overview",
        *(f"(test_groups and {n})" for n in grouped),
    ]
    copy.test(*own, *others, "-k", f"({' or '.join(chosen)}) and not launcher")


TASK = '''"""Sums: a task of a test."""

from verl_ext.tasks.task import Task, text_of

SUMS = Task(
    data_source="sums",
    grader="math",
    repo_id="nobody/sums",
    revision="main",
    num_rows={"test": 2},
    file_stem="sums",
    question_of=lambda row: text_of(row, "question"),
    answer_of=lambda row: text_of(row, "answer"),
)
'''


def test_a_task(copy, tmp_path):
    copy.write("verl_ext/tasks/sums.py", TASK)
    copy.insert(
        "verl_ext/tasks/table.py",
        "from verl_ext.tasks.sums import SUMS\n",
        before="from verl_ext.tasks.task import Task\n",
    )
    copy.insert("verl_ext/tasks/table.py", ", SUMS", before=')\n}\n"""Name -> task."""')
    golden = copy.read("tests/grading/golden.jsonl")
    for answer, reason in (("1907", "correct"), ("1908", "incorrect")):
        row = {"reference": "1907", "answer": answer, "reason": reason, "why": "a sum", "task": "sums"}
        golden += json.dumps(row) + "\n"
    copy.write("tests/grading/golden.jsonl", golden)
    copy.insert("docs/data-and-tasks.md", "| `sums` | mathematical | sums: 2 to test |\n", before="| `gsm8k` |")
    assert copy.touched == listed("A task", "sums")

    rows = [{"question": "1 + 2?", "answer": "3"}, {"question": "2 + 3?", "answer": "5"}]
    (tmp_path / "sums_test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    prepared = copy.run("scripts/prepare_data.py", "Sums", "--data_dir", str(tmp_path), "--out", f"{tmp_path}/out")
    assert "sums_test.parquet: 2 problems" in prepared
    whole = ("grading/test_golden", "tasks/test_table", "test_imports")
    chosen = " or ".join(Path(name).name for name in whole)
    copy.test(*(f"tests/{name}.py" for name in (*whole, "test_docs")), "-k", f"{chosen} or (test_docs and task)")


FAMILY = """    Family(
        name="Toy",
        preset="toy-1b",
        hub_id="toys/Toy-1B",
        spelling=re.compile(r"toy-?1"),
        model_type="toy",
        template="toy",
        prompt=("<toy>user ", "<toy>assistant "),
        sampling={"temperature": 0.9},
    ),
"""
PROMPT = r"""    "toy": b"<toy>user What is $\\frac{1}{2}$ of {x}?\nPlease reason step by step, and put your final answer within "
    b"\\boxed{}.<toy>assistant ",
"""
RECIPES = ("psr_nsr", "ppo", "grpo")


def test_a_family_of_models(copy):
    copy.insert("verl_ext/families.py", FAMILY, before=")\n\n\ndef named_in")
    copy.insert("tests/tasks/test_templates.py", PROMPT, before='    "chat": b"')
    preset = copy.read("verl_ext/training/config/preset/llama3.1-8b.yaml")
    preset = preset.replace("prompt_template: llama", "prompt_template: toy").replace("llama3.1-8b", "toy-1b")
    copy.write("verl_ext/training/config/preset/toy-1b.yaml", preset)
    for recipe in RECIPES:
        text = copy.read(f"recipes/run_llama3.1-8b_{recipe}.sh").replace("llama3.1-8b", "toy-1b")
        copy.write(f"recipes/run_toy-1b_{recipe}.sh", text)
    row = "| Toy | " + " | ".join(f"`run_toy-1b_{recipe}.sh`" for recipe in RECIPES) + " |\n"
    copy.insert("recipes/README.md", row, before="| Qwen3-4B, not thinking |")
    for page, script in (("SETTINGS.md", "settings_table.py"), ("OPTIONS.md", "options_read.py")):
        copy.write(f"recipes/{page}", copy.run(f"scripts/{script}"))
    assert copy.touched == listed("A family of models", "toy-1b")

    assert copy.run("-m", "verl_ext.families", "toy-1b") == "toys/Toy-1B toy\n"
    options = ["device=cpu", "preset=toy-1b", "recipe=grpo", "actor_rollout_ref.model.path=x"]
    files = ["data.train_files=x", "data.val_files=x"]
    assert "\nprompt_template: toy\n" in copy.run("-m", "verl_ext.training.main", *options, *files, "--cfg")
    program = "from verl_ext.evaluation.sampling_settings import defaults_of; print(defaults_of('Toy-1B').sampling.temperature)"
    assert copy.run("-c", program) == "0.9\n"
    files = (
        "tasks/test_templates",
        "evaluation/test_sampling_settings",
        "recipes/test_recipes",
        "training/test_dead_options",
    )
    copy.test(*(f"tests/{name}.py" for name in files), "-k", "templates or settings or toy or three_recipes")
