"""What came back from the rollout, against what it was asked for. Free of torch and verl.

A key is verl's name of an output, ``{prompt id}_{session}_{output}``: a session is one of a prompt's samples, and an agent
loop may give several outputs in a session.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any


def places(keys: Sequence[str], submitted: Collection[str]) -> list[tuple[int, int, int]]:
    """Of each output the prompt's place in the step's data, its session and which output of that it is.

    A prompt that was not submitted in this step (verl's rollout skip reads old ones) follows in the order it came in.
    """
    place_of_prompt = {uid: place for place, uid in enumerate(submitted)}
    of_keys = []
    for key in keys:
        uid, session, output = key.rsplit("_", 2)
        of_keys.append((place_of_prompt.setdefault(uid, len(place_of_prompt)), int(session), int(output)))
    return of_keys


def data_order(keys: Sequence[str], submitted: Collection[str]) -> list[int]:
    """The rows sorted by prompt, as the data has them, and within a prompt by session and output.

    verl has them in the order in which they were complete, the short ones first.
    """
    of_keys = places(keys, submitted)
    return sorted(range(len(keys)), key=of_keys.__getitem__)


def count_missing(
    keys: Sequence[str],
    *,
    failed: Collection[str],
    num_submitted: Mapping[str, int],
    default_num_samples: int,
    num_replaced: int,
) -> dict[str, float]:
    """Count the prompts that failed in the rollout and the samples that did not come back, which verl passes over.

    Args:
        keys: Of the outputs that came back.
        failed: Prompts that failed; some of their samples may have come back.
        num_submitted: Prompt -> how many samples it was submitted for.
        default_num_samples: The same for a prompt that was not submitted in this step.
        num_replaced: Prompts that failed and that verl has replaced by others.
    """
    sessions = {key.rpartition("_")[0] for key in keys}
    came_back = Counter(session.rpartition("_")[0] for session in sessions)
    uids = {*failed, *came_back}
    num_expected = sum(num_submitted.get(uid, default_num_samples) for uid in uids)
    # What another launch has submitted may have asked for a number of its own: only what is known to be too few is.
    in_part = {uid for uid in uids if came_back[uid] < num_submitted.get(uid, 0)}
    num_prompts = len(uids) + num_replaced
    return {
        "train/prompts": num_prompts,
        "train/failed_prompts": len(failed) + num_replaced,
        "train/missing_samples": num_expected - len(sessions),
        "train/failed_ratio": (len(in_part.union(failed)) + num_replaced) / num_prompts,
    }


class Replacements:
    """How many prompts have failed in the rollout and were replaced by others while a step waits for its samples.

    Args:
        batch_size: How many prompts a step takes.
        log: Where the errors are, for a reader.
    """

    def __init__(self, batch_size: int, log: str) -> None:
        self._most, self._log = max(4 * batch_size, 32), log
        self._step, self._number = 0, 0

    def add(self, step: int, number: int) -> None:
        """Count some more, of which a step may have four times as many as it takes prompts, and always 32.

        Raises:
            RuntimeError: They are more: it would go on for ever.
        """
        if step != self._step:
            self._step, self._number = step, 0
        self._number += number
        if self._number > self._most:
            raise RuntimeError(
                f"step {step} waits for its samples, and {self._number} of its prompts have failed in the rollout and were replaced. "
                f"{self._log} has the error of each; a reward function that raises fails all of them. Repair that and run the same "
                "command again: it goes on from the last checkpoint."
            )


def without_prompt(tags: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The outputs, rows of padding among them, whose prompt is not there: a step has taken it, and nobody asks for them again.

    Args:
        tags: Of every key in verl's queue, prompts and outputs.
    """
    prompts = {key for key, tag in tags.items() if tag.get("is_prompt", False)}
    return [key for key in tags if key not in prompts and key.rsplit("_", 2)[0] not in prompts]
