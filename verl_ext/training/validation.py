"""Validation answers that nobody could grade: neither right nor wrong, and counted. Plain numbers from plain sequences."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from statistics import mean, stdev
from typing import Any

from verl_ext.training.step.step_report import is_graded
from verl_ext.training.validation_score import ERROR_PREFIX, STANDARD_ERROR

SCORES = ("reward", "score", "acc")
Infos = dict[str, list[Any]]


def ungraded_rows(infos: Mapping[str, Sequence[Any]]) -> list[bool]:
    """Whether each sample could not be graded, from the reward function's reasons; ``infos`` holds a list per key."""
    num_samples = len(infos["reward"])
    return [not is_graded({key: values[row] or 0.0 for key, values in infos.items()}) for row in range(num_samples)]


def without_ungraded(
    data_sources: Sequence[str],
    uids: Sequence[str],
    infos: Infos,
    expected: Mapping[tuple[str, str], int] | None,
) -> tuple[Infos, dict[tuple[str, str], int] | None]:
    """verl's lists with the scores of ungraded samples taken out, and their number with a share under ``ungraded``.

    Args:
        data_sources: Of each sample.
        uids: Prompt of each sample.
        infos: A list per key of the reward function; ``reward`` is the score.
        expected: Samples asked for by (data source, prompt). verl counts what is missing as wrong, so the ungraded ones
            are taken off.
    """
    is_ungraded = ungraded_rows(infos)
    if not any(is_ungraded):
        return infos, None if expected is None else dict(expected)
    cleared: Infos = {
        key: [None if key in SCORES and drop else value for value, drop in zip(values, is_ungraded, strict=True)]
        for key, values in infos.items()
    }
    cleared["ungraded"] = [float(drop) for drop in is_ungraded]
    if expected is None:
        return cleared, None
    lost = Counter((str(s), str(u)) for s, u, drop in zip(data_sources, uids, is_ungraded, strict=True) if drop)
    return cleared, {key: count - lost[key] for key, count in expected.items()}


def order_of_data(uids: Sequence[str], expected: Mapping[tuple[str, str], int] | None) -> list[int]:
    """Rows with the prompts in the order of the data, where ``expected`` has it; they come as they were complete.

    verl's sums depend on the order in their last bit.
    """
    place = {uid: number for number, (_source, uid) in enumerate(expected or {})}
    return sorted(range(len(uids)), key=lambda row: place.get(str(uids[row]), 0))


def means_over_prompts(
    data_sources: Sequence[str],
    uids: Sequence[str],
    infos: Infos,
    expected: Mapping[tuple[str, str], int] | None,
    num_samples: int,
) -> dict[str, float]:
    """``mean@<num_samples>`` of the scores where prompts have lost samples to ``without_ungraded``.

    verl names a prompt's mean after the samples that it has, and averages each name apart. Here a prompt counts once,
    with the mean of what could be graded of it; missing samples are wrong in ``acc``, as verl has it.
    """
    core = _core_score(infos)
    values = {
        (source, key): by_prompt
        for key in SCORES
        for source, by_prompt in _by_prompt(data_sources, uids, infos.get(key, ())).items()
    }
    for (source, uid), count in (expected or {}).items():
        if (source, "acc") in values:
            of_prompt = values[source, "acc"][uid]
            of_prompt += [0.0] * (count - len(of_prompt))
    return {
        f"val-{'core' if key == core else 'aux'}/{source}/{key}/mean@{num_samples}": sum(
            sum(scores) / len(scores) for scores in by_prompt.values() if scores
        )
        / sum(bool(scores) for scores in by_prompt.values())
        for (source, key), by_prompt in values.items()
    }


def standard_errors(data_sources: Sequence[str], uids: Sequence[str], infos: Infos) -> dict[str, float]:
    """Of the mean of each data source's score: how far it may be from that of all problems of its kind.

    A prompt counts once, with the mean of its samples, so more samples of the same prompts do not make it vanish. A source
    of one prompt has none.
    """
    core = _core_score(infos)
    return {
        f"{ERROR_PREFIX}{source}/{core}/{STANDARD_ERROR}": stdev(map(mean, by_prompt.values())) / len(by_prompt) ** 0.5
        for source, by_prompt in _by_prompt(data_sources, uids, infos[core]).items()
        if len(by_prompt) > 1
    }


def _core_score(infos: Infos) -> str:
    """The score that verl puts among its core metrics."""
    return "acc" if "acc" in infos else "reward"


def _by_prompt(
    data_sources: Sequence[str], uids: Sequence[str], values: Sequence[Any]
) -> dict[str, dict[str, list[float]]]:
    """Data source -> prompt -> a score of its samples, without those that have none; ``values`` may be empty."""
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for source, uid, value in zip(data_sources, uids, values, strict=False):
        if value is not None:
            found[str(source)][str(uid)].append(float(value))
    return found
