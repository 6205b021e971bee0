#!/usr/bin/env python
"""Print recipes/OPTIONS.md: every option that this package sets, and the code that reads it in a run.

    pytest -m slow tests/recipes/test_rehearsal.py      runs recipes and keeps what each process has read
    python scripts/options_read.py FOLDER > OPTIONS.md  FOLDER: what that has kept
    python scripts/options_read.py > OPTIONS.md         after a change of options: what the page says of the others stays

An option is set when a file of verl_ext/training/config gives it a value or a recipe names it. It is read when verl,
TransferQueue or this package took its value in one of those runs, in any of their processes (tests/recipes/trace_reads.py
says what counts), directly or as part of a section that is passed on whole, or when it is the value of another option that
is read. Options of this package alone are looked for in its source: much of it runs before there is a run to watch.
"""

import ast
import json
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from verl_ext.training.configuration import CONFIG_DIR, compose_config, verl_config_dir
from verl_ext.training.rehearsal import cpu_lines, leaves

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "recipes/OPTIONS.md"
FOLLOWED = re.compile(r"\$\{(?:oc\.select:)?([\w.]+)")
SHELL_OPTION = re.compile(r"(?<![\w.$/{-])([a-z_0-9]+(?:\.[a-z_0-9]+)+)=")
HANDED_OVER = {
    # Option or section, and where it goes as a whole to code that is not watched.
    # Read in the last phase of recipes/gsm8k_prorl.yaml only.
    "reward.reward_kwargs": "verl/experimental/reward_loop/reward_manager/dapo.py:DAPORewardManager.__init__",
    "trainer.ends_early": "verl_ext/training/ending.py:EndingRules.of",
    "trainer.guardrails": "verl_ext/training/guards/guardrails.py:Guardrails.of",
    "trainer.best_checkpoint": "verl_ext/training/kept_checkpoints.py:BestRule.of",
    "algorithm.noisy_grader": "verl_ext/objectives/noisy_grader.py:read_noisy_grader",
    **{
        f"actor_rollout_ref.rollout.engine_kwargs.vllm.{name}": "verl/workers/rollout/vllm_rollout/vllm_async_server.py:"
        "vLLMHttpServer.launch_server, to vLLM"
        for name in ("block_size", "kernel_config")
    },
    "ray_kwargs.ray_init": "verl_ext/training/resources.py:ray_init_options, to ray.init",
    "ray_kwargs.ray_init.runtime_env": "verl_ext/training/launch.py:_start_ray, to ray.init and this process",
    # FSDPCriticConfig.__post_init__ copies it, and the engine reads the copy.
    "critic.strategy": "verl/workers/config/critic.py:FSDPCriticConfig.__post_init__, to critic.fsdp.strategy",
}
QUEUE = "transfer_queue"
"""TransferQueue makes its own configuration of this section, in which options have no section in front."""

Reads = Mapping[str, Iterable[str]]


def set_by_us() -> dict[str, list[str]]:
    """Option -> the files that give it a value other than null."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in sorted(CONFIG_DIR.rglob("*.yaml")):
        lines = cpu_lines() if path.match("device/cpu.yaml") else dict(leaves(OmegaConf.load(path)))
        for option, value in lines.items():
            if not option.startswith(("hydra.", "defaults")) and value is not None:
                found[option].append(str(path.relative_to(CONFIG_DIR)))
    for path in sorted((ROOT / "recipes").glob("*.sh")):
        code = "\n".join(line for line in path.read_text().splitlines() if not line.lstrip().startswith("#"))
        for option in dict.fromkeys(SHELL_OPTION.findall(code)):
            found[option].append(path.name)
    return dict(sorted(found.items()))


def read_traces(folder: Path) -> dict[str, dict[str, list[object]]]:
    """Option -> reader -> the values that it was given, over all processes and runs below ``folder``."""
    found: dict[str, dict[str, list[object]]] = defaultdict(lambda: defaultdict(list))
    for path in sorted(folder.rglob("*.jsonl")):
        if path.parent.name == "reads":
            for line in path.read_text().splitlines():
                option, value, reader = json.loads(line)
                found[option][reader].append(value)
    return found


def read_page() -> dict[str, list[str]]:
    """Option -> the reader that recipes/OPTIONS.md names, where a run has shown it."""
    rows = (line.strip("|").split(" | ") for line in PAGE.read_text().splitlines() if line.startswith("| `"))
    named = {option.strip("` "): reader.strip("` ") for option, _, reader in rows}
    return {option: [reader] for option, reader in named.items() if ":" in reader}


@cache
def _verls_own() -> DictConfig:
    from hydra import compose, initialize_config_dir

    with initialize_config_dir(config_dir=str(verl_config_dir()), version_base=None):
        return compose(config_name="ppo_trainer")


@cache
def _words_of_ours() -> dict[str, list[str]]:
    """Attribute or text in this package's source -> the files that have it."""
    found: dict[str, dict[str, None]] = defaultdict(dict)
    # Asking whether a value is possible, or what it was, comes last: there are options for nothing else, but most have a use.
    # What trains comes first: commands and the doctor also speak of a run's options.
    paths = sorted(
        (ROOT / "verl_ext").rglob("*.py"),
        key=lambda path: (
            path.parent.name in ("checks", "dynamics"),
            path.relative_to(ROOT / "verl_ext").parts[0] not in ("objectives", "training"),
            path,
        ),
    )
    for path in (path for path in paths if path.name != "option_types.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            word = node.attr if isinstance(node, ast.Attribute) else getattr(node, "value", None)
            if isinstance(word, str):
                found[word][str(path.relative_to(ROOT))] = None
    return {word: list(files) for word, files in found.items()}


def _is_ours(option: str) -> bool:
    section, _, key = option.rpartition(".")
    found = OmegaConf.select(_verls_own(), section) if section else _verls_own()
    return not (isinstance(found, DictConfig) and key in found) and not isinstance(found, type(None))


def _followers(config: DictConfig) -> dict[str, set[str]]:
    """Option -> the options whose value it is."""
    found: dict[str, set[str]] = defaultdict(set)
    for option, value in leaves(config):
        for name in FOLLOWED.findall(value) if isinstance(value, str) else []:
            found[option.rpartition(".")[0] + name if name.startswith(".") else name].add(option)
    return found


def readers_of(
    option: str, reads: Reads, followers: Mapping[str, set[str]], seen: frozenset[str] = frozenset()
) -> list[str]:
    """Who reads an option: ``file:function``, and where it is read under another name, that name."""
    parts = option.split(".")
    sections = [".".join(parts[:length]) for length in range(len(parts), 0, -1)]
    if parts[0] == QUEUE:
        sections += [section.removeprefix(f"{QUEUE}.") for section in sections[:-1]]
    found: set[str] = set()
    for section in sections:
        found |= set(reads.get(section, ()))
        found |= {HANDED_OVER[section]} if section in HANDED_OVER else set()
    if _is_ours(option) and parts[-1] in _words_of_ours():
        found.add(_words_of_ours()[parts[-1]][0])
    for follower in sorted(followers.get(option, set()) - seen):
        below = readers_of(follower, reads, followers, seen | {option})
        found |= {f"{reader} (as {follower})" if " (as " not in reader else reader for reader in below}
    return sorted(found, key=lambda reader: (" (as " in reader, "verl_ext" in reader, reader))


def table(reads: Reads) -> dict[str, tuple[list[str], list[str]]]:
    """Option -> the files that set it, and its readers."""
    followers: dict[str, set[str]] = defaultdict(set)
    for recipe in ("psr_nsr", "ppo", "grpo"):
        for option, names in _followers(compose_config(["preset=qwen3-4b", f"recipe={recipe}"], device="gpu")).items():
            followers[option] |= names
    return {option: (files, readers_of(option, reads, followers)) for option, files in set_by_us().items()}


def page(reads: Reads) -> str:
    rows = table(reads)
    lines = [
        "# Options: set by us, read by verl",
        "",
        "Every option that a file of `verl_ext/training/config` or a recipe sets, and one place where its value was taken in a",
        "run of the nine recipes with their GPU settings (on the CPU: see README.md). Made by `scripts/options_read.py`, which",
        "says what counts; `tests/recipes/test_rehearsal.py` fails for an option that nobody reads or that arrives changed.",
        "",
        "| option | set in | read in |",
        "|---|---|---|",
    ]
    for option, (files, readers) in rows.items():
        lines.append(f"| `{option}` | {', '.join(files)} | {readers[0] if readers else '**nobody**'} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(page(read_traces(Path(sys.argv[1])) if len(sys.argv) > 1 else read_page()), end="")
