"""Runs made of counts, for tests."""

import numpy as np

from verl_ext.metrics.generations import Generations


def run(name, ids, correct, num_samples=4, **more):
    """A run of problems called ``ids`` of which ``correct`` of ``num_samples`` (a number, or one per problem) are right."""
    return Generations(
        name=name,
        path=f"{name}.jsonl",
        question_ids=list(ids),
        num_samples_P=np.broadcast_to(num_samples, len(correct)).copy(),
        num_correct_P=np.array(correct),
        **({"references": [None] * len(correct)} | more),
    )
