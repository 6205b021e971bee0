"""Rows that verl's agent loops cannot use are refused before the launch: in a run each of their answers would fail."""

import re

import pytest

from tests.training.conftest import config_of, countdown_rows
from verl_ext.data.parquet import write_rows
from verl_ext.training.checks.agent_loops import LOOPS, check_agent_loop, row_check
from verl_ext.training.checks.data_files import check_data

CONFIG_PATH = "actor_rollout_ref.rollout.agent.agent_loop_config_path"


@pytest.fixture(scope="module")
def config(folder):
    return config_of(folder)


def in_extra_info(**fields):
    return {"extra_info": {"index": 0} | fields}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"agent_name": "robot"}, "has the agent_name 'robot', .*: there are single_turn_agent, tool_agent"),
        ({"agent_name": None}, "has the agent_name None, with which each of its answers would fail"),
        ({"agent_name": 3}, "has the agent_name 3"),
        (in_extra_info(tools_kwargs="x"), "has the tools_kwargs 'x', which must be a table"),
        (in_extra_info(tools_kwargs={"calc": "x"}), "has the tools_kwargs {'calc': 'x'}, which must be a table"),
        (in_extra_info(tool_selection="calc"), "has the tool_selection 'calc', which must be a list of names"),
        (in_extra_info(tool_selection=[3]), r"has the tool_selection \[3\]"),
    ],
)
def test_a_row_that_would_fail_is_named(config, row, message):
    assert re.match(message, row_check(config)(row))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"agent_name": "robot"}, "has the agent_name 'robot'"),
        (in_extra_info(tool_selection="calc"), "has the tool_selection 'calc'"),
    ],
)
def test_the_launcher_looks_at_every_row(folder, tmp_path, row, message):
    well = {"agent_name": "tool_agent", **in_extra_info(tool_selection=None)}
    rows = [one | well for one in countdown_rows(32)]
    rows[5] |= row
    write_rows(rows, tmp_path / "rows.parquet")
    with pytest.raises(ValueError, match=rf"data.train_files: .*rows.parquet, row 5, {message}.* fix the row"):
        check_data(config_of(folder, f"data.train_files={tmp_path}/rows.parquet"))


@pytest.mark.parametrize(
    "row",
    [
        {},
        {"extra_info": None},
        {"agent_name": "tool_agent"},
        in_extra_info(tools_kwargs=None, tool_selection=None),
        in_extra_info(tools_kwargs={"calc": {"create_kwargs": {}}, "other": None}, tool_selection=["calc"]),
        in_extra_info(index="zero"),
    ],
)
def test_a_row_that_is_well_passes(config, row):
    assert row_check(config)(row) is None


def test_a_default_that_is_none_is_refused(folder):
    with pytest.raises(ValueError, match="default_agent_loop=single is not an agent loop. There are single_turn_agent"):
        check_agent_loop(config_of(folder, "actor_rollout_ref.rollout.agent.default_agent_loop=single"))


def test_loops_of_the_users_own_may_have_any_name(folder, monkeypatch):
    own = "actor_rollout_ref.rollout.agent.default_agent_loop=mine"
    config = config_of(folder, own, f"{CONFIG_PATH}=loops.yaml")
    check_agent_loop(config)
    assert row_check(config)({"agent_name": "mine"}) is None
    assert "has the agent_name None" in row_check(config)({"agent_name": None})
    monkeypatch.setenv("VERL_USE_EXTERNAL_MODULES", "my_loops")
    check_agent_loop(config_of(folder, own))


def test_verl_registers_these_loops():
    from verl.experimental.agent_loop import agent_loop

    ours = [name for name, loop in agent_loop._agent_loop_registry.items() if loop["_target_"].startswith("verl.")]
    assert set(ours) == set(LOOPS)
