"""The order of an examination: the options, the machine, the run, the grader, and on demand an answer of vLLM's."""

from collections.abc import Callable, Sequence
from typing import Any

from verl_ext.doctor.examination import Examination
from verl_ext.doctor.grading_trial import GRADING, grading_of
from verl_ext.doctor.of_machine import examine_machine
from verl_ext.doctor.of_run import examine_run
from verl_ext.host.finding import Finding, ok, warn
from verl_ext.training.configuration import compose_on_device
from verl_ext.training.device import chosen_device, default_device

OPTIONS, GENERATION = "options", "generation"


def examine(overrides: Sequence[str], *, generates: bool, say: Callable[[str], None]) -> Examination:
    """Look at the machine and, where there are ``overrides`` of the launcher, at the run that they describe."""
    examination = Examination(say)
    composed: list[Any] = []
    if overrides:
        examination.make(OPTIONS, lambda: _compose(overrides, composed))
    config = composed[0] if composed else None
    examine_machine(examination, config)
    is_right = examine_run(examination, config) if config is not None else not overrides
    if is_right:
        examination.make(GRADING, lambda: grading_of(config))
    else:
        examination.note(warn(GRADING, "not tried: what is wrong above has to be right first", ""))
    if generates:
        _generate(examination, config, is_right=is_right)
    return examination


def _compose(overrides: Sequence[str], composed: list[Any]) -> Finding:
    composed.append(compose_on_device(overrides))
    device = chosen_device(overrides) or default_device(overrides).device
    return ok(OPTIONS, f"{len(overrides)} given, all of them known; device={device}")


def _generate(examination: Examination, config: Any, *, is_right: bool) -> None:
    if config is None:
        examination.note(warn(GENERATION, "not tried: without options of a run there is no model", ""))
    elif not is_right:
        examination.note(warn(GENERATION, "not tried: what is wrong above has to be right first", ""))
    else:
        from verl_ext.doctor.generation_trial import generation

        examination.make(GENERATION, lambda: generation(config))
