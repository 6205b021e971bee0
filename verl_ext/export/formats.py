"""The formats that a generations file can be exported to."""

from collections.abc import Callable
from pathlib import Path

from verl_ext.export.card_results import write_model_card
from verl_ext.export.every_eval_files import write_every_eval_files
from verl_ext.export.exported_answers import ExportedAnswers, Lacks, answers_with_facts
from verl_ext.export.inspect_file import write_inspect_log
from verl_ext.export.lighteval_files import write_lighteval_files
from verl_ext.export.lm_eval_files import write_lm_eval_files
from verl_ext.host.command_line import shown
from verl_ext.host.files import replacing
from verl_ext.metrics.generations import Generations

Write = Callable[[ExportedAnswers, Path, str | None], tuple[Generations, Lacks]]
INSPECT_ENDING = ".eval"
CARD_ENDING = ".md"


def _inspect(source: ExportedAnswers, target: Path, verdict: str | None) -> tuple[Generations, Lacks]:
    if target.suffix != INSPECT_ENDING:
        raise ValueError(f"--out {target}: the name of a log of inspect must end in {INSPECT_ENDING}.")
    with replacing(target) as unfinished:
        return write_inspect_log(source, unfinished, verdict)


def _folder(write: Write) -> Write:
    """What writes into a new folder."""

    def write_whole(source: ExportedAnswers, target: Path, verdict: str | None) -> tuple[Generations, Lacks]:
        if target.exists():
            raise ValueError(f"--out {target} is there already. Name a new folder.")
        with replacing(target) as unfinished:
            return write(source, unfinished, verdict)

    return write_whole


def _model_card(source: ExportedAnswers, target: Path, verdict: str | None) -> tuple[Generations, Lacks]:
    if target.suffix != CARD_ENDING:
        raise ValueError(
            f"--out {target}: the name of a model card must end in {CARD_ENDING}, such as README{CARD_ENDING}."
        )
    with replacing(target) as unfinished:
        return write_model_card(source, target, unfinished, verdict)


FORMATS: dict[str, Write] = {
    "inspect": _inspect,
    "lm-eval": _folder(write_lm_eval_files),
    "lighteval": _folder(write_lighteval_files),
    "every-eval-ever": _folder(write_every_eval_files),
    "hf-card": _model_card,
}
"""Name -> what writes it, whole or not at all."""


def export(path: Path, to: str, target: Path, verdict: str | None = None) -> list[str]:
    """Write ``path`` as a file of another tool; returns what to say about it.

    Args:
        path: A generations file, or one of another tool that is read like one.
        to: One of ``FORMATS``.
        target: Where to write it.
        verdict: Which of several verdicts counts, see ``read_answers``.

    Raises:
        ValueError: The file cannot be counted, or the target cannot be of this format; nothing is written.
    """
    if target.exists() and target.samefile(path):
        raise ValueError(f"--out {target} is the file that is exported. Give another name.")
    source = answers_with_facts(path)
    generations, lacks = FORMATS[to](source, target, verdict)
    counts = f"{generations.num_problems:,} problems, {generations.num_answers:,} answers, {generations.num_correct:,} correct"
    return [f"{shown(target)}: {counts}", *lacks.said(source)]
