"""What ``eval/eval.py`` does: check everything that can be checked, then sample, grade, write and sum up."""

import asyncio
import sys
import time
from collections.abc import Mapping, Sequence

from verl_ext.evaluation.disagreements import DisagreementLog
from verl_ext.evaluation.plan import make_plan
from verl_ext.evaluation.regrade import Regrade, diff_table, regrade
from verl_ext.evaluation.run import evaluate, opened_log
from verl_ext.evaluation.run_file import code_facts, grader_name, time_text, write_run
from verl_ext.evaluation.run_options import EvaluationOptions, RegradeOptions, parse
from verl_ext.host.command_line import print_any_text
from verl_ext.host.log_tail import tail
from verl_ext.metrics.label_file import write_labels
from verl_ext.metrics.side_file import read_run, run_path
from verl_ext.tasks import task_named

BAD_INPUT, FAILED, INTERRUPTED = 2, 1, 130
SHOWN_CHANGES = 50


def main(arguments: Sequence[str], description: str) -> int:
    """Run the command and return its exit code."""
    began = time.time()
    print_any_text()
    try:
        options = parse(arguments, description)
        if isinstance(options, RegradeOptions):
            return _regrade(options, began)
        return _evaluate(options, began)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT


def _evaluate(options: EvaluationOptions, began: float) -> int:
    plan = make_plan(options)
    with opened_log(plan) as log:
        try:
            evaluate(plan, log, began)
        except KeyboardInterrupt:
            print("\nstopped; run the same command again to go on", file=sys.stderr)
            return INTERRUPTED
        except FileNotFoundError:
            raise
        except (RuntimeError, OSError) as error:
            print(f"error: {error}\nThe end of {plan.log_path}:\n{tail(plan.log_path)}", file=sys.stderr)
            return FAILED
    return 0


def _regrade(options: RegradeOptions, began: float) -> int:
    path = options.path
    run = read_run(run_path(path))
    if options.task is not None:
        task_of: Mapping[str, str] | str = task_named(options.task).data_source
    elif run is not None:
        task_of = {question_id: entry["task"] for question_id, entry in run["problems"].items()}
    else:
        raise ValueError(f"{path} has no {run_path(path).name} beside it, so its task is unknown: name it with --task.")
    try:
        result = asyncio.run(_grade_again(options, task_of))
    except KeyboardInterrupt:
        print("\nstopped; the file is as it was", file=sys.stderr)
        return INTERRUPTED
    print(diff_table(result, SHOWN_CHANGES))
    if run is not None:
        run["sampling"]["grader"] = grader_name()
        run["runs"].append({"started": time_text(began), "num_regraded": result.num_answers, **code_facts()})
        write_run(run_path(path), run)
    write_labels(path)
    return 0


async def _grade_again(options: RegradeOptions, task_of: Mapping[str, str] | str) -> Regrade:
    log = DisagreementLog(options.disagreements) if options.disagreements is not None else None
    result = await regrade(options.path, task_of, disagreements=log)
    if log is not None:
        await log.close()
        print(log.summary())
    return result
