"""validation.jsonl as runs leave it: resumed, cut, changed, or not there."""

import json

import pytest

from verl_ext.metrics.validations import ValidationCounts, pooled, read_series, read_validations
from verl_ext.training.validation_counts import NAME, append


def line(step=50, source="countdown", correct=(3, 0), samples=(64, 64), **more):
    row = {"step": step, "data_source": source, "num_correct": list(correct), "num_samples": list(samples)}
    return json.dumps(row | more) + "\n"


def read(path, text, told=None):
    path = path / NAME
    path.write_text(text)
    return read_validations(path, told=[].append if told is None else told.append)


def plain(validations):
    return {
        source: {step: tuple(part.tolist() for part in counts) for step, counts in steps.items()}
        for source, steps in validations.items()
    }


def test_what_a_run_writes_is_read(tmp_path):
    path = tmp_path / NAME
    append(path, 0, {"countdown": ([3, 0], [64, 64]), "gsm8k": ([1], [4])})
    append(path, 50, {"countdown": ([5, 1], [64, 63])})
    assert plain(read_validations(path, told=[].append)) == {
        "countdown": {0: ([64, 64], [3, 0]), 50: ([64, 63], [5, 1])},
        "gsm8k": {0: ([4], [1])},
    }


def test_a_step_that_was_made_again_counts_as_it_came_last_and_steps_are_in_order(tmp_path):
    found = read(tmp_path, line(100) + line(50) + line(100, correct=(9, 9)))
    assert list(found["countdown"]) == [50, 100]
    assert plain(found)["countdown"][100] == ([64, 64], [9, 9])


def test_answers_that_were_drawn_in_other_ways_are_no_validation_of_one_series(tmp_path):
    """Of a validation while training, and of evaluate at two temperatures of which the second was not drawn to its end."""
    old, new = ({"by": "evaluate", "temperature": temperature} for temperature in (1.0, 0.5))
    rows = [line(0), line(50), line(0, drawn=old), line(50, drawn=old), line(100), line(0, correct=(7, 7), drawn=new)]
    path = tmp_path / NAME
    path.write_text("".join(rows))
    found = read_series(path, told=[].append)["countdown"]
    assert {by: (series.drawn, list(series.steps)) for by, series in found.items()} == {
        "training": ({}, [0, 50, 100]),
        "evaluate": (new, [0]),
    }
    assert list(read_validations(path, told=[].append)["countdown"]) == [0, 50, 100], (
        "no checkpoint has been drawn from anew"
    )
    path.write_text(path.read_text() + line(50, correct=(8, 8), drawn=new))
    assert plain(read_validations(path, told=[].append)) == {
        "countdown": {0: ([64, 64], [7, 7]), 50: ([64, 64], [8, 8])}
    }


def test_a_cut_last_line_is_left_out_with_a_word(tmp_path):
    said = []
    assert list(read(tmp_path, line(0) + line(50)[:30], said)["countdown"]) == [0]
    assert said == [f"{tmp_path / NAME}, line 2, is cut and left out."]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (line()[:30] + "\n" + line(), "line 1, is no validation like"),
        (line(step="50"), "line 1, is no validation like"),
        (line(step=-1), "line 1, is no validation like"),
        (line(source=3), "line 1, is no validation like"),
        (line(correct=[0.5, 1]), "line 1, is no validation like"),
        (line(correct=[], samples=[]), "line 1, is no validation like"),
        (line(drawn="evaluate"), "line 1, is no validation like"),
        (line(correct=[1]), "has num_correct of 1 problems and num_samples of 2. Correct or delete it."),
        (line(correct=[1, 65]), "has 65 correct of 64 samples of problem 1."),
        (line() + line(100, correct=[1], samples=[4]), "line 2, has 1 problems of countdown and a line before it 2"),
        ("", "holds no validation yet."),
        (line()[:20], "holds no validation yet."),
    ],
)
def test_what_is_no_validation_is_named(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        read(tmp_path, text)


def test_a_missing_file_says_what_makes_it(tmp_path):
    with pytest.raises(
        ValueError, match="set trainer.test_freq to a number of steps, and trainer.val_before_train=True"
    ):
        read_validations(tmp_path / NAME, told=[].append)


def test_pooled_samples_add_up(tmp_path):
    counts = read(tmp_path, line(0) + line(50, correct=(5, 1), samples=(64, 63)))["countdown"]
    assert pooled(list(counts.values())).is_same_as(
        ValidationCounts(counts[0].num_samples_P * 0 + [128, 127], counts[0].num_correct_P * 0 + [8, 1])
    )
    assert not counts[0].is_same_as(counts[50])
