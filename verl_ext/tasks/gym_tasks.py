"""Problems of reasoning-gym (PyPI reasoning-gym), one task for each of its generators: ``reasoning_gym/chain_sum``.

A problem is made from the generator's options, a seed and an index. Training and test problems never meet, whatever the
seeds and sizes: a hash of the question decides its split.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from verl_ext.grading.gym.gym_grader import AnswerForm
from verl_ext.tasks.task import Split, Task, text_of

PREFIX = "reasoning_gym/"
VERSION = "0.1.25"
NAMES = tuple(
    """
    ab acre advanced_geometry aiw arc_1d base_conversion basic_arithmetic bf binary_alternation binary_matrix
    bitwise_arithmetic caesar_cipher calendar_arithmetic chain_sum circuit_logic codeio coin_flip
    color_cube_rotation complex_arithmetic count_bits count_primes countdown course_schedule cryptarithm
    decimal_arithmetic decimal_chain_sum dice emoji_mystery family_relationships figlet_font
    fraction_simplification futoshiki game_of_life gcd group_anagrams gsm_symbolic
    intermediate_integration isomorphic_strings jugs kakurasu knight_swap knights_knaves largest_island lcm
    leg_counting letter_counting letter_jumble list_functions mahjong_puzzle manipulate_matrix maze mini_sudoku
    modulo_grid n_queens needle_haystack number_filtering number_format number_sequence number_sorting
    palindrome_generation palindrome_partitioning path_star polynomial_equations polynomial_multiplication
    pool_matrix power_function prime_factorization products puzzle24 quantum_lock ransom_note rectangle_count
    rotate_matrix rotten_oranges self_reference sentence_reordering shortest_path simple_equations
    simple_geometry simple_integration sokoban spell_backward spiral_matrix string_insertion string_manipulation
    string_splitting string_synthesis sudoku survo syllogism time_intervals tower_of_hanoi tsumego word_ladder
    word_sequence_reversal word_sorting zebra_puzzles
    """.split()
)
"""Generators whose problems can be written to a file and scored from it: those that take their own answer then."""
LEFT_OUT = {
    **dict.fromkeys(
        ("boxnet", "graph_color", "propositional_logic", "rubiks_cube", "rush_hour"),
        "it gives no answer, so nobody can tell whether a problem can be scored",
    ),
    **dict.fromkeys(("arc_agi", "rearc"), "its scorer compares objects that no file can hold"),
    "game_of_life_halting": "its scorer takes every answer",
    "composite": "it draws from other generators: name these",
}
"""The others, and why."""
INSTRUCTIONS: Mapping[AnswerForm, str] = {
    "tag": "\nThink step by step, and give the answer alone in <answer> </answer> tags.",
    "bare": "\nGive the answer alone, without any other word.",
}
"""What follows a question that is asked without solved examples."""


def _task(name: str) -> Task:
    return Task(
        data_source=PREFIX + name,
        grader="reasoning_gym",
        repo_id=f"reasoning-gym {name}",
        revision=VERSION,
        num_rows={},  # there is no data set: as many as one asks for
        file_stem=f"reasoning_gym_{name}",
        question_of=lambda row: text_of(row, "question"),
        answer_of=lambda row: text_of(row, "answer"),
        asks_for_box=False,
    )


GYM_TASKS = {PREFIX + name: _task(name) for name in NAMES}
"""Name -> task."""


@dataclass(frozen=True, kw_only=True)
class GymProblem:
    """A problem as the library made it."""

    name: str
    options: Mapping[str, Any]
    seed: int
    index: int
    entry: Mapping[str, Any]
    """question, answer and metadata."""

    @property
    def question(self) -> str:
        return str(self.entry["question"])

    @property
    def answer(self) -> str:
        return str(self.entry["answer"])

    def reference(self, *, threshold: float, answer_form: AnswerForm) -> str:
        """The ground truth of a row, as JSON text: all that scoring needs, and all that makes the problem again."""
        fields = {"task": self.name, "options": self.options, "entry": self.entry, "threshold": threshold}
        return json.dumps(
            fields | {"answer_form": answer_form, "seed": self.seed, "index": self.index, "version": VERSION}
        )


def shown(problem: GymProblem, answer_form: AnswerForm) -> str:
    """The answer of an example, as a response should give it."""
    return f"<answer>{problem.answer}</answer>" if answer_form == "tag" else problem.answer


def checked_name(name: str) -> str:
    """The generator that is meant.

    Raises:
        ValueError: There is none, or its problems cannot be used; says why, or which is nearest.
    """
    plain = name.removeprefix(PREFIX)
    if plain in NAMES:
        return plain
    if plain in LEFT_OUT:
        raise ValueError(f"{PREFIX}{plain} cannot be used: {LEFT_OUT[plain]}.")
    nearest = get_close_matches(plain, NAMES, n=1, cutoff=0.5)
    hint = f"Did you mean {PREFIX}{nearest[0]}?" if nearest else f"There are {', '.join(NAMES)}."
    raise ValueError(f"reasoning_gym has no generator {plain!r}. {hint}")


def generate(
    name: str,
    num_problems: Mapping[Split, int],
    *,
    seed: int,
    options: Mapping[str, Any],
    num_examples: int = 0,
    threshold: float = 1.0,
) -> tuple[dict[Split, list[GymProblem]], list[GymProblem]]:
    """Make the problems of both splits, no question twice, and examples that are in neither; the same for the same arguments.

    The library runs in a process of its own whose hashes are not random: five of its generators walk through sets.

    Args:
        name: As in ``checked_name``.
        num_problems: How many of each split.
        seed: The generator's, for the first problems; later ones have others.
        options: The generator's; what is not named has its default.
        num_examples: Training problems to be shown with their answers.
        threshold: Of the scores. Each problem's own answer reaches it, from the file as well.

    Raises:
        ValueError: There is no such generator or option, or fewer problems.
        OSError: The library cannot be imported here.
    """
    from verl_ext.tasks import gym_generator

    name = checked_name(name)
    wanted = {"train": num_problems.get("train", 0) + num_examples, "test": num_problems.get("test", 0)}
    request = {"name": name, "options": options, "seed": seed, "wanted": wanted, "threshold": threshold}
    root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-P", "-m", gym_generator.__name__],
        input=json.dumps(request),
        env={**os.environ, "PYTHONHASHSEED": "0", "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise OSError(f"The process that makes problems of reasoning_gym failed: {done.stderr.strip()[-500:]}")
    reply = json.loads(done.stdout)
    if "error" in reply:
        raise (OSError if reply["is_missing"] else ValueError)(reply["error"])
    made: dict[Split, list[GymProblem]] = {
        split: [
            GymProblem(name=name, options=dict(options), seed=chunk_seed, index=index, entry=entry)
            for chunk_seed, index, entry in reply["problems"][split]
        ]
        for split in num_problems
    }
    examples = made.get("train", [])[:num_examples]
    if "train" in made:
        made["train"] = made["train"][num_examples:]
    return made, examples


def parsed_options(texts: Sequence[str]) -> dict[str, Any]:
    """What ``key=value`` says, a value as JSON where it is JSON, else as text.

    Raises:
        ValueError: One is no such pair, or comes twice.
    """
    options: dict[str, Any] = {}
    for text in texts:
        key, sign, value = text.partition("=")
        if not sign or not key.isidentifier():
            raise ValueError(f"--option {text} is not of the form key=value.")
        if key in options:
            raise ValueError(f"--option {key} is given twice.")
        try:
            options[key] = json.loads(value)
        except ValueError:
            options[key] = value
    return options
