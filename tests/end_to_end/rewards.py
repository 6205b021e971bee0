"""Reward functions that a test needs, loaded by verl from this file."""

import math


def by_length(data_source, solution_str, ground_truth, extra_info=None, **_unused):
    """Right when the response has an even number of characters: a random model is right about half the time."""
    score = float(len(solution_str) % 2 == 0)
    return {"score": score, "acc": score}


def by_problem(data_source, solution_str, ground_truth, extra_info=None, **_unused):
    """Right when the number of characters leaves the problem's remainder by 3: who always answers alike misses two of three."""
    score = float(len(solution_str) % 3 == extra_info["index"] % 3)
    return {"score": score, "acc": score}


def always_right(data_source, solution_str, ground_truth, extra_info=None, **_unused):
    return {"score": 1.0, "acc": 1.0}


def no_number(data_source, solution_str, ground_truth, extra_info=None, **_unused):
    return {"score": math.nan, "acc": 0.0}


def failing_grader(data_source, solution_str, ground_truth, extra_info=None, **_unused):
    return {"score": 0.0, "acc": 0.0, "grader_error": 1.0}
