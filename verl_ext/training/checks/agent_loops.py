"""What verl's agent loops read of a row: where it cannot be used, every answer to the prompt fails, or goes without its tools."""

from collections.abc import Callable, Mapping
from typing import Any

from verl_ext.data.rows import VerlRow
from verl_ext.training.checks.algorithm import others_register

LOOPS = ("single_turn_agent", "tool_agent")
"""Those that verl registers by itself."""


def known_loops(config: Any) -> tuple[str, ...] | None:
    """The names that a row's ``agent_name`` may have; None where what the user names brings others."""
    brings_others = config.actor_rollout_ref.rollout.agent.agent_loop_config_path or others_register(config)
    return None if brings_others else LOOPS


def check_agent_loop(config: Any) -> None:
    """There is such a default loop, which takes the rows without an ``agent_name``."""
    name, known = config.actor_rollout_ref.rollout.agent.default_agent_loop, known_loops(config)
    if known is not None and name not in known:
        raise ValueError(
            f"actor_rollout_ref.rollout.agent.default_agent_loop={name} is not an agent loop. There are {', '.join(known)}; "
            "actor_rollout_ref.rollout.agent.agent_loop_config_path names a file with others."
        )


def row_check(config: Any) -> Callable[[VerlRow], str | None]:
    """The function that says what of a row the agent loops of this run cannot use, or None."""
    known = known_loops(config)

    def fault(row: VerlRow) -> str | None:
        found = _name_fault(row["agent_name"], known) if "agent_name" in row else None
        return found or _tool_fault(row.get("extra_info") or {})

    return fault


def _name_fault(name: Any, known: tuple[str, ...] | None) -> str | None:
    if isinstance(name, str) and (known is None or name in known):
        return None
    there = "" if known is None else f": there are {', '.join(known)}"
    return f"has the agent_name {name!r}, with which each of its answers would fail{there}. Without that column the default takes all"


def _tool_fault(extra_info: Mapping[str, Any]) -> str | None:
    kwargs, selection = extra_info.get("tools_kwargs"), extra_info.get("tool_selection")
    if not (
        kwargs is None
        or (isinstance(kwargs, Mapping) and all(isinstance(one, Mapping | None) for one in kwargs.values()))
    ):
        return f"has the tools_kwargs {kwargs!r:.80}, which must be a table with one for each tool: every call of a tool would fail"
    if not (selection is None or (isinstance(selection, list) and all(isinstance(name, str) for name in selection))):
        return f"has the tool_selection {selection!r:.80}, which must be a list of names: its answers would go without tools"
    return None
