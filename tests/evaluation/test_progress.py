"""The table at the end."""

from verl_ext.evaluation.answer_file import Done
from verl_ext.evaluation.progress import summary_table


def done_of(*corrects, n=4, reason="no_answer"):
    done = Done()
    for question, num_correct in enumerate(corrects):
        for sample in range(n):
            is_correct = sample < num_correct
            done.add(str(question), sample, is_correct, "correct" if is_correct else reason)
    return done


def test_worked_example():
    """Two problems with 4 and 1 of 4 right: pass@1 = (1 + 1/4) / 2, pass@2 = (1 + 1/2) / 2, pass@4 = 1."""
    table = summary_table([("MATH", done_of(4, 1)), ("AIME2025", done_of(0, n=2, reason="incorrect"))])
    assert table.splitlines() == [
        "task      problems  answers  pass@1  pass@2  pass@4",
        "MATH             2        8   62.5%   75.0%  100.0%",
        "AIME2025         1        2    0.0%    0.0%",
        "MATH: no answer 3",
    ]


def test_an_answer_counts_once():
    done = Done()
    assert done.add("0", 0, True, "correct")
    assert not done.add("0", 0, True, "correct")
    assert done.num_answers == 1
