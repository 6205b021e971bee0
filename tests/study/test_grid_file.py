"""A file of a study is the grid that it says, and what it does not say is refused with the place and the way out."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.study.conftest import study_file
from verl_ext.analysis.grid_pairs import PrimaryPair
from verl_ext.study import grid_file
from verl_ext.study.grid_file import SEED_OPTIONS, read_grid, read_study

OBJECTIVES = {"nsr": {"algorithm.adv_estimator": "nsr"}, "psr": {"algorithm": {"adv_estimator": "psr"}}}
RATE = "actor_rollout_ref.actor.optim.lr"
WHOLE = {
    "options": {"actor_rollout_ref.rollout": {"n": 16}, "algorithm.adv_estimator": "reinforce"},
    "grid": {"objective": OBJECTIVES, RATE: [1e-5, 0.001]},
    "runs": [{"name": "grpo", "options": {"algorithm.adv_estimator": "grpo"}}, {"name": "as_it_is"}],
    "seeds": [1, 2],
}


def test_every_combination_then_the_others_each_with_its_seeds(tmp_path):
    runs = read_grid(study_file(tmp_path, WHOLE))
    grid = [f"{one}-lr_{rate}" for one in ("nsr", "psr") for rate in ("1e-05", "0.001")]
    assert [run.name for run in runs] == [
        f"{name}-seed{seed}" for name in (*grid, "grpo", "as_it_is") for seed in (1, 2)
    ]
    second = runs[1]
    assert second.place == {"objective": "nsr", RATE: "lr_1e-05", "seed": "seed2"}
    assert second.overrides == [
        "actor_rollout_ref.rollout.n=16",
        "algorithm.adv_estimator=nsr",
        f"{RATE}=1e-05",
        *(f"{option}=2" for option in SEED_OPTIONS),
    ]
    assert runs[-1].place == {"seed": "seed2"}
    assert runs[-1].overrides[1] == "algorithm.adv_estimator=reinforce"


def test_parts_may_be_left_out(tmp_path):
    def names(**content):
        return [run.name for run in read_grid(study_file(tmp_path, content))]

    assert names(grid={"objective": OBJECTIVES}) == ["nsr", "psr"]
    assert names(runs=[{"name": "alone"}]) == ["alone"]
    assert names(seeds=[0, 7]) == ["seed0", "seed7"]
    assert names(grid={"lambda": {0.05: {}, 1: None}}) == ["0.05", "1"]


def test_what_is_compared_is_named_by_cells_or_by_values(tmp_path):
    compare = {"psr": ["nsr"], "lr_1e-05": ["lr_0.001"], "grpo": ["nsr-lr_1e-05", "as_it_is"]}
    assert read_study(study_file(tmp_path, WHOLE | {"compare": compare})).primary == [
        PrimaryPair("nsr", "psr", "objective"),
        PrimaryPair("lr_0.001", "lr_1e-05", RATE),
        PrimaryPair("nsr-lr_1e-05", "grpo", None),
        PrimaryPair("as_it_is", "grpo", None),
    ]
    assert read_study(study_file(tmp_path, WHOLE)).primary == []
    of_one_axis = {"grid": {"lambda": {0.05: {}, 1: {}}}, "seeds": [1], "compare": {0.05: [1]}}
    assert read_study(study_file(tmp_path, of_one_axis)).primary == [PrimaryPair("1", "0.05", None)]


@given(
    sizes=st.lists(st.integers(1, 4), min_size=1, max_size=4), num_seeds=st.integers(0, 3), num_beside=st.integers(0, 2)
)
def test_there_are_as_many_runs_as_the_product_and_no_two_are_alike(tmp_path_factory, sizes, num_seeds, num_beside):
    content = {
        "grid": {
            f"axis{axis}": {f"v{axis}_{value}": {f"data.option{axis}": value} for value in range(size)}
            for axis, size in enumerate(sizes)
        },
        "runs": [{"name": f"beside{number}"} for number in range(num_beside)],
    } | ({"seeds": list(range(num_seeds))} if num_seeds else {})
    runs = read_grid(study_file(tmp_path_factory.mktemp("study"), content))
    assert len(runs) == (math.prod(sizes) + num_beside) * max(1, num_seeds)
    assert len({run.name for run in runs}) == len(runs)
    in_the_grid = [tuple(run.overrides) for run in runs if not run.name.startswith("beside")]
    assert len(set(in_the_grid)) == len(in_the_grid)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"grids": {}}, r"study.yaml has no key grids. Did you mean grid\?"),
        ({"grid": ["nsr"]}, "grid must have axes as name: values"),
        ({"grid": {"objective": {}}}, "grid: objective needs named values with their options, or a list"),
        ({"grid": {"objective": "nsr"}}, "grid: objective needs named values .* got nsr"),
        ({"grid": {"objective": {"nsr": "nsr"}}}, "grid: objective: nsr must have options as name: value, got nsr"),
        ({"grid": {"seed": [1]}}, "grid: seed is no axis: name the seeds under the key seeds"),
        ({"grid": {"clip": {True: {}}}}, "grid: clip has a value of the name True: YAML takes on, off"),
        ({"grid": {"data.train_files": ["a/b"]}}, "train_files_a/b cannot be a part of a folder's name"),
        (
            {"grid": {"a": OBJECTIVES, "b": {"x": {"algorithm.adv_estimator": "psr"}}}},
            "a and b both set algorithm.adv_estimator",
        ),
        ({"grid": {"a": {"x": {"data.seed": 3}}}}, "a and seed both set data.seed"),
        (
            {"grid": {"a": {"x": {"trainer": {"output_dir": "o"}}}}},
            "grid: a: x cannot set trainer.output_dir: every run gets a folder of its own",
        ),
        ({"options": {"trainer.resume_mode": "disable"}}, "options cannot set trainer.resume_mode: a run goes on"),
        ({"runs": [{"name": "a", "option": {}}]}, "run 1 has no key option. Did you mean options?"),
        ({"runs": [{"options": {}}]}, "run 1 needs a name, got None"),
        ({"runs": ["grpo"]}, "run 1 must have the keys name and options, got grpo"),
        ({"runs": {"name": "grpo"}}, "runs must be a list of runs with name and options"),
        ({"runs": [{"name": "../a"}]}, r"run 1: \.\./a cannot be a part of a folder's name"),
        ({"runs": [{"name": "nsr-lr_0.001"}]}, "has two runs of the name nsr-lr_0.001-seed1"),
        ({"seeds": 5}, r"seeds must be a list of whole numbers >= 0, such as \[1, 2, 3\], got 5"),
        ({"seeds": [1, True]}, "seeds must be a list of whole numbers"),
        ({"seeds": [1, 1]}, "has two runs of the name nsr-lr_1e-05-seed1"),
        ({"compare": ["nsr", "psr"]}, "compare must have pairs as name: .names that are compared with it., got .'nsr'"),
        ({"compare": {}}, "compare must have pairs as name"),
        ({"compare": {"psr": "nsr"}}, "compare: psr needs a list of names that are compared with it, got nsr"),
        ({"compare": {"psr": []}}, "compare: psr needs a list of names"),
        (
            {"compare": {"psr": ["nsr-lr_1e-5"]}},
            r"study.yaml: compare: no cell and no value of an axis is called nsr-lr_1e-5. Did you mean nsr-lr_1e-05\?",
        ),
        ({"compare": {"gspo": ["nsr"]}}, r"is called gspo. Did you mean grpo\?"),
        (
            {"compare": {"zzz": ["nsr"]}},
            "is called zzz. There are nsr-lr_1e-05, .*, grpo, as_it_is, nsr, psr, lr_1e-05, ",
        ),
        ({"compare": {"grpo-seed1": ["as_it_is"]}}, "is called grpo-seed1. There are nsr-lr_1e-05, "),
        ({"compare": {"psr": ["psr"]}}, "compare compares psr with itself"),
        ({"compare": {"psr": ["nsr", "nsr"]}}, "compare names nsr and psr twice"),
        ({"compare": {"psr": ["nsr"], "nsr": ["psr"]}}, "compare names nsr and psr twice"),
        (
            {"compare": {"psr": ["lr_0.001"]}},
            "lr_0.001 and psr are neither two cells nor two values of one axis. Name cells, such as nsr-lr_1e-05",
        ),
        ({"compare": {"psr": ["grpo"]}}, "grpo and psr are neither two cells nor two values of one axis"),
        (
            {"grid": {"a": {"x": {}, "y": {}}, "b": {"x": {}, "y": {}}}, "compare": {"x": ["y"]}},
            "y and x are values of a and b. Name cells, such as x-x",
        ),
    ],
)
def test_what_is_no_study(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        read_grid(study_file(tmp_path, WHOLE | change))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("grid: [", "is no YAML"),
        ("- nsr", "must have the keys options, grid, runs, seeds and compare"),
        ("options: {}", "has no run: it needs a grid, runs or seeds"),
        (None, "cannot be read: No such file"),
    ],
)
def test_what_is_no_file(tmp_path, text, message):
    file = tmp_path / "absent.yaml" if text is None else study_file(tmp_path, text)
    with pytest.raises(ValueError, match=message) as refused:
        read_grid(file)
    assert "\n" not in str(refused.value)


def test_the_example_of_the_module(tmp_path):
    assert grid_file.__doc__ is not None
    text, _, said = grid_file.__doc__.partition("\n\n")[2].partition("\n\nThese are the runs ")
    names = [run.name for run in read_grid(study_file(tmp_path, text))]
    assert said.startswith(f"{names[0]} to {names[-4]} and {names[-3]} to {names[-1]}.")
