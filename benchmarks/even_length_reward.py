"""A reward that a random model meets about half the time, for benchmarks of the machinery."""

from typing import Any


def compute_score(
    data_source: str, solution_str: str, ground_truth: Any, extra_info: Any = None, **_unused: Any
) -> dict[str, float]:
    score = float(len(solution_str) % 2 == 0)
    return {"score": score, "acc": score}
