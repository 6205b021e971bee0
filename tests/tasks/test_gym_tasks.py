import json
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("reasoning_gym", reason="reasoning_gym is not installed: its dependency pycosat needs a C compiler")

from reasoning_gym.factory import DATASETS

from verl_ext.grading import Reason, grade
from verl_ext.tasks import gym_generator, task_named
from verl_ext.tasks.gym_tasks import (
    GYM_TASKS,
    LEFT_OUT,
    NAMES,
    PREFIX,
    VERSION,
    GymProblem,
    checked_name,
    generate,
    parsed_options,
)
from verl_ext.tasks.task import split_of

SMALL = {"min_terms": 2, "max_terms": 2, "min_digits": 1, "max_digits": 1}


def made(name="chain_sum", train=3, test=2, seed=1, options=SMALL, **more):
    return generate(name, {"train": train, "test": test}, seed=seed, options=options, **more)


def test_every_generator_of_the_library_is_listed_or_left_out_with_a_reason():
    assert {*NAMES, *LEFT_OUT} == set(DATASETS)
    assert len({*NAMES, *LEFT_OUT}) == len(NAMES) + len(LEFT_OUT)
    assert list(NAMES) == sorted(NAMES)


def test_the_version_is_the_installed_one():
    from importlib.metadata import version

    assert version("reasoning-gym") == VERSION


@pytest.mark.parametrize("name", [name for name in LEFT_OUT if name not in ("composite", "game_of_life_halting")])
def test_what_is_left_out_cannot_be_scored_from_a_file(name):
    """When this fails, another version of the library can."""
    with pytest.raises((ValueError, TypeError, AttributeError)):
        gym_generator.generate(name, {}, 1, {"train": 1, "test": 0}, 1.0)


def test_a_scorer_that_takes_every_answer_is_left_out():
    dataset = DATASETS["game_of_life_halting"][0](DATASETS["game_of_life_halting"][1](seed=1))
    assert [dataset.score_answer(text, dataset[0]) for text in ("True", "False", "no idea")] == [1.0] * 3


def test_the_same_arguments_give_the_same_problems():
    first, examples = made(num_examples=2)
    assert (first, examples) == made(num_examples=2)
    assert first != made(num_examples=2, seed=2)[0]
    # The hashes of these would differ from process to process.
    assert made("isomorphic_strings", options={}) == made("isomorphic_strings", options={})


def test_a_problem_says_how_to_make_it_again():
    problem = made()[0]["train"][2]
    dataset = DATASETS["chain_sum"][0](
        DATASETS["chain_sum"][1](seed=problem.seed, size=gym_generator.SIZE, **problem.options)
    )
    assert dataset[problem.index]["question"] == problem.question
    fields = json.loads(problem.reference(threshold=0.5, answer_form="bare"))
    assert (fields["seed"], fields["index"], fields["options"]) == (problem.seed, problem.index, SMALL)
    assert (fields["threshold"], fields["answer_form"], fields["version"]) == (0.5, "bare", VERSION)


def test_train_and_test_and_the_examples_never_meet():
    """Two digits allow 180 different questions, so that different seeds meet the same ones."""
    questions = {}
    for seed in (1, 2):
        problems, examples = made(train=60, test=20, seed=seed, num_examples=4)
        assert [len(problems["train"]), len(problems["test"]), len(examples)] == [60, 20, 4]
        for split, found in {**problems, "examples": examples}.items():
            questions.setdefault(split, []).extend(problem.question for problem in found)
            assert len({problem.question for problem in found}) == len(found)
        assert not {problem.question for problem in examples} & {problem.question for problem in problems["train"]}
    assert not set(questions["train"]) & set(questions["test"])
    assert not set(questions["examples"]) & set(questions["test"])
    assert set(questions["train"]) & set(questions["examples"])  # of the other seed: both are training problems


def test_a_chunk_follows_another(monkeypatch):
    monkeypatch.setattr(gym_generator, "SIZE", 5)
    found = gym_generator.generate("chain_sum", {}, 10, {"train": 12, "test": 0}, 1.0)["train"]
    assert {index for _, index, _ in found} <= set(range(5))
    assert {seed for seed, _, _ in found} >= {10, 15, 20}
    questions = [entry["question"] for _, _, entry in found]
    assert max(Counter(questions).values()) == 1
    monkeypatch.undo()
    whole = gym_generator.generate("chain_sum", {}, 10, {"train": 12, "test": 0}, 1.0)["train"]
    assert questions == [entry["question"] for _, _, entry in whole]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "chain_sun"}, r"no generator 'chain_sun'. Did you mean reasoning_gym/chain_sum\?"),
        ({"name": "qqq"}, "no generator 'qqq'. There are ab, acre, "),
        ({"name": "rush_hour"}, "reasoning_gym/rush_hour cannot be used: it gives no answer"),
        ({"options": {"min_term": 2}}, r"reasoning_gym/chain_sum has no option min_term. Did you mean min_terms\?"),
        ({"options": {"seed": 2}}, "has no option seed. It has min_terms, "),
        ({"options": {"min_terms": 0}}, "does not take these options: min_terms must be positive"),
        ({"options": {"min_terms": "two"}}, "does not take these options: .*not supported"),
        ({"options": {**SMALL, "max_digits": 1.5}}, "makes no problem number 0 with these options: (Type|Value)Error"),
        ({"train": 1000}, r"has only \d+ of 1000 train, \d+ of 2 test problems with these options"),
        ({"threshold": 2.0}, "scores its own answer to problem number 0 with 1, below the threshold of 2"),
    ],
)
def test_what_cannot_be_made_says_why(arguments, message):
    with pytest.raises(ValueError, match=message):
        made(**arguments)


def test_options_are_read_as_json_or_text():
    assert parsed_options(['a=["+","-"]', "b=2", "c=true", "d=no_space", "e=x=y"]) == {
        "a": ["+", "-"],
        "b": 2,
        "c": True,
        "d": "no_space",
        "e": "x=y",
    }
    with pytest.raises(ValueError, match=r"--option 2 is not of the form key=value"):
        parsed_options(["2"])
    with pytest.raises(ValueError, match="--option a is given twice"):
        parsed_options(["a=1", "a=2"])


def test_a_task_is_known_by_its_name():
    assert task_named("reasoning_gym/chain_sum") is GYM_TASKS["reasoning_gym/chain_sum"]
    with pytest.raises(ValueError, match=r"Did you mean reasoning_gym/chain_sum\?"):
        task_named("reasoning_gym/chain-sum")
    assert checked_name("reasoning_gym/gcd") == checked_name("gcd") == "gcd"


@given(text=st.text())
def test_a_split_is_one_of_two(text):
    assert split_of(text) in ("train", "test")
    assert split_of(text) == split_of(text)


# ---------------------------------------------------------------------- every task, graded


def graded(problem: GymProblem, answer: str) -> Reason:
    reference = problem.reference(threshold=1.0, answer_form="tag")
    return grade(f"<answer>{answer}</answer>", reference, PREFIX + problem.name).reason


def changed(answer: str) -> str:
    """With its first digit, or without one its first letter, turned into another."""
    for is_kind, other in (
        (str.isdigit, lambda c: str((int(c) + 1) % 10)),
        (str.isalpha, lambda c: "b" if c != "b" else "c"),
    ):
        for place, char in enumerate(answer):
            if char.isascii() and is_kind(char):
                return answer[:place] + other(char) + answer[place + 1 :]
    return answer + "x"


SEVERAL_RIGHT = {
    "jugs",
    "knight_swap",
    "mahjong_puzzle",
    "n_queens",
    "quantum_lock",
    "shortest_path",
    "sokoban",
    "word_ladder",
}
"""Many answers to one problem are right, so a changed one may be."""
names, seeds = st.sampled_from(NAMES), st.integers(0, 10_000)


def drawn(name: str, seed: int) -> GymProblem:
    ((chunk_seed, index, entry),) = gym_generator.generate(name, {}, seed, {"train": 1}, 1.0)["train"]
    return GymProblem(name=name, options={}, seed=chunk_seed, index=index, entry=entry)


@settings(max_examples=25)
@given(name=names, seed=seeds)
def test_the_generators_own_answer_is_correct_and_a_changed_one_is_not(name, seed):
    problem = drawn(name, seed)
    assert graded(problem, problem.answer) is Reason.CORRECT
    if name not in SEVERAL_RIGHT:
        assert graded(problem, changed(problem.answer)) in (Reason.INCORRECT, Reason.UNPARSABLE)


@settings(max_examples=25)
@given(name=names, seed=seeds, text=st.text(max_size=300))
def test_any_text_is_graded(name, seed, text):
    """Never the grader's error, and never more than a worker: the next answer is graded."""
    problem = drawn(name, seed)
    reason = graded(problem, text)
    assert reason in (Reason.CORRECT, Reason.INCORRECT, Reason.UNPARSABLE, Reason.NO_ANSWER, Reason.TIMED_OUT)
    assert graded(problem, problem.answer) is Reason.CORRECT
