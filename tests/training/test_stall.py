"""A run that does not move says each minute what it waits for, and one that moves says nothing."""

import queue
import threading
import time
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.training.stand_in import trainer_with
from verl_ext.training import events, stall
from verl_ext.training.stall import Movement, Prompts, StallWatch, prompts_of, stalled_line, starts_now, waits_of


def looks(*seen: tuple[float, object, int]) -> list[int | None]:
    movement = Movement(60)
    return [movement.look(*one) for one in seen]


def test_each_minute_once():
    assert looks(*((now, "a", 0) for now in (0, 59, 60, 61, 119, 120, 300, 310))) == [
        *(None, None, 1, None, None, 2, 5, None)
    ]


def test_another_phase_and_another_prompt_are_movements():
    assert looks((0, "a", 0), (59, "b", 0), (100, "b", 0), (119, "b", 0)) == [None, None, None, 1]
    assert looks((0, "a", 0), (59, "a", 1), (100, "a", 0), (119, "a", 1)) == [None, None, None, 1], "fewer are none"


@given(st.lists(st.tuples(st.floats(0.1, 100), st.sampled_from("ab"), st.integers(0, 3)), max_size=30))
def test_a_line_comes_only_a_minute_after_the_last_movement_or_line(steps):
    movement, now, last = Movement(60), 0.0, 0.0
    state = None
    most = 0
    for seconds, name, done in steps:
        now += seconds
        moved = name != state or done > most
        number = movement.look(now, name, done)
        if moved:
            assert number is None
            state, most, last = name, done, now
        elif number is not None:
            assert now - last >= 60 * number
        assert movement.since == last


class Trainer:
    """Its functions have the names of the phases."""

    def __init__(self, until):
        self.until = until

    def fit(self):
        self._update_actor()

    def _update_actor(self):
        while not self.until():
            time.sleep(0.005)


@pytest.fixture
def lines():
    return queue.Queue()


def test_a_stalled_update_is_named_with_who_is_at_work(lines):
    said: list[str] = []

    def until():
        said.extend(lines.get_nowait() for _ in range(lines.qsize()))
        return len(said) >= 2

    with StallWatch(lines.put, seconds=0.05, between_looks=0.01):
        Trainer(until).fit()
    assert "nothing has moved for 0 s, phase update: " in said[0]
    assert "at work" in said[0]


def test_prompts_that_come_back_are_movement(lines, monkeypatch):
    """By a clock of its own, which stands until all have come back: how long a look takes does not matter."""
    monkeypatch.setattr(stall, "phase_now", lambda: "rollout")
    now = [0.0]
    monkeypatch.setattr(stall, "time", SimpleNamespace(monotonic=lambda: now[0]))
    counted = iter([Prompts(number, 100) for number in range(20)])
    ended = threading.Event()
    at_end = Prompts(20, 100)

    def prompts():
        found = next(counted, at_end)
        if found == at_end:
            ended.set()
        return found

    with StallWatch(lines.put, seconds=0.2, between_looks=0.01) as watch, events.listening(watch.hear):
        events.emit(stall.SAMPLING, prompts=prompts)
        ended.wait()
        assert lines.empty(), "every look has found one more"
        now[0] = 1.0
        assert "phase rollout: 20 of 100 prompts have come back; " in lines.get()


def test_a_validation_that_counts_waits_for_no_prompts():
    assert list(stall._waiting("validation", Prompts(3, 4))) == ["3 of 4 prompts have come back"]
    assert list(stall._waiting("validation", Prompts(0, 0))) == []


def test_the_trainer_says_how_to_ask_for_its_prompts():
    heard = {}
    with events.listening(lambda kind, fields: heard.update({kind: fields})):
        trainer = trainer_with()
        buffer = trainer._build_replay_buffer()
    for name, number in (("finished", 3), ("failure", 1), ("pending", 2), ("running", 10)):
        getattr(buffer, f"{name}_keys")["train"] = set(range(number))
    assert heard[stall.SAMPLING]["prompts"]() == Prompts(4, 16)


def test_a_look_while_the_buffer_is_read_anew():
    """The most of a few looks: verl empties its sets and fills them again."""
    full, empty = {"train": {1, 2}}, {"train": set()}
    views = iter([empty, full, empty])

    class Buffer:
        failure_keys = pending_keys = running_keys = empty

        @property
        def finished_keys(self):
            return next(views)

    assert prompts_of(Buffer()) == Prompts(2, 2)


def _start_services(entered, over):
    _start_ray(entered, over)


def _start_ray(entered, over):
    entered.set()
    over.wait()


def test_what_starts_in_another_thread():
    """The innermost: Ray is one of the services."""
    entered, over = threading.Event(), threading.Event()
    thread = threading.Thread(target=_start_services, args=(entered, over))
    thread.start()
    entered.wait()
    assert starts_now() == ["Ray starts"]
    over.set()
    thread.join()
    assert starts_now() == []


def test_the_functions_that_start_things_are_there():
    import ast
    from pathlib import Path

    root = Path(stall.__file__).parents[1]
    defined = {
        node.name
        for name in ("training/launch.py", "cpu/servers.py")
        for node in ast.walk(ast.parse((root / name).read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef)
    }
    assert {name.rpartition(".")[2] for name in stall.STARTS} <= defined


def test_the_line():
    line = stalled_line(123.4, 60.4, "start", ["Ray starts"], {"trainer": 0.02, "vLLM's engine": 0.97})
    assert (
        line
        == "[123.4 s] nothing has moved for 60 s, phase start: Ray starts; at work, in shares of a core: vLLM's engine 97%"
    )
    assert stalled_line(1, 1, "rollout", [], {"trainer": 0.01}).endswith(
        "phase rollout: no process of the run is at work"
    )


def test_without_ray_nothing_of_it_is_pending(monkeypatch):
    monkeypatch.setitem(stall.sys.modules, "ray", SimpleNamespace(is_initialized=lambda: False))
    assert stall.pending_in_ray() == []


def group(number: int, state: str, strategy: str = "STRICT_PACK") -> dict:
    """As Ray's table has a placement group of verl's."""
    return {
        "placement_group_id": f"{number:036x}",
        "name": f"global_poolverl_group_8_8:{number}",
        "bundles": {index: {"CPU": 3.0, "GPU": 1.0} for index in range(8)},
        "bundles_to_node_id": dict.fromkeys(range(8), ""),
        "strategy": strategy,
        "state": state,
    }


TOTAL, LEFT = {"GPU": 16.0, "CPU": 68.0, "memory": 1e11}, {"GPU": 8.0, "CPU": 35.0}


def test_placement_groups_that_wait_are_named_with_what_they_ask_for():
    """The second node has four CPUs."""
    assert waits_of([], [group(0, "CREATED"), group(1, "PENDING"), group(2, "REMOVED")], TOTAL, LEFT) == [
        "waiting for Ray's placement groups global_poolverl_group_8_8:1 (24 CPU, 8 GPU on one node: pending)",
        "Ray has 35 of 68 CPU, 8 of 16 GPU free",
    ]
    other = group(1, "RESCHEDULING", "PACK") | {"name": ""}
    assert (
        waits_of([], [other], TOTAL, LEFT)[0] == "waiting for Ray's placement groups one (24 CPU, 8 GPU: rescheduling)"
    )


def test_actors_that_wait_are_named():
    actors = [{"ActorClassName": "Storage", "State": state} for state in ("ALIVE", "DEPENDENCIES_UNREADY", "DEAD")]
    assert waits_of(actors, [group(0, "CREATED")], {"CPU": 4.0}, {}) == [
        "waiting for Ray's actors Storage (dependencies unready)",
        "Ray has 0 of 4 CPU free",
    ]
    assert waits_of(actors[:1], [group(0, "CREATED")], TOTAL, LEFT) == []


def test_ray_has_these_states():
    """Those that ``waits_of`` reads of a placement group, and how verl asks for one."""
    from inspect import getsource, signature

    from ray._private.state import GlobalState
    from verl.single_controller.ray.base import RayResourcePool

    source = getsource(GlobalState._gen_placement_group_info)
    assert all(f'"{word}"' in source for word in ("name", "bundles", "state", "strategy", stall.CREATED, stall.REMOVED))
    assert signature(RayResourcePool.get_placement_groups).parameters["strategy"].default == stall.ON_ONE_NODE


def test_a_ray_that_has_died_is_said(monkeypatch):
    monkeypatch.setitem(stall.sys.modules, "ray", SimpleNamespace(is_initialized=lambda: True))
    monkeypatch.setattr(stall, "_pending", lambda _ray: 1 / 0)
    assert stall.pending_in_ray() == ["Ray does not say what it waits for (ZeroDivisionError: division by zero)"]
