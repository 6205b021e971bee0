"""A node that answers no more ends the run with its name, also where the trainer waits for what never comes."""

import socket
import subprocess
import sys
import threading
import time
from itertools import chain, repeat
from textwrap import dedent
from types import ModuleType

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from verl_ext.training import node_watch
from verl_ext.training.events import TRAINING
from verl_ext.training.node_watch import Node, NodeWatch, Silence, faults_of

A, B = Node("first", "10.0.0.1", 1), Node("second", "10.0.0.2", 2)


def test_silence_counts_from_the_last_answer():
    silence = Silence(15)
    looks = [(0, {B: ""}), (14, {B: ""}), (16, {}), (18, {A: "", B: ""}), (32, {A: ""}), (33, {A: ""})]
    assert [silence.look(now, faults) for now, faults in looks] == [None, None, None, None, None, A]


@given(st.lists(st.tuples(st.floats(0.5, 9), st.sets(st.sampled_from([A, B]))), max_size=30))
def test_a_node_is_gone_when_no_look_of_so_long_has_reached_it(steps):
    silence, now, answered = Silence(15), 0.0, {}
    for seconds, silent in steps:
        now += seconds
        answered = {node: answered.get(node, now) for node in silent}
        gone = {node for node, since in answered.items() if now - since >= 15}
        found = silence.look(now, dict.fromkeys(silent, "no answer"))
        assert (found in gone) if gone else found is None


@pytest.fixture
def listening():
    with socket.socket() as port:
        port.bind(("127.0.0.1", 0))
        port.listen()
        yield port


def node_at(port) -> Node:
    return Node("away", *port.getsockname())


def test_a_node_is_asked_at_its_port(listening):
    node = node_at(listening)
    assert faults_of({node}) == {}
    listening.close()
    assert faults_of({node}) == {node: "connection refused"}


def watch_of(node, monkeypatch, **options) -> NodeWatch:
    monkeypatch.setattr(node_watch, "nodes_of_this_run", lambda: {node})
    return NodeWatch(2, print, lambda: "Go on with: main", silence=0.05, between_looks=0.01, **options)


def test_the_trainer_is_woken_where_it_waits(listening, monkeypatch):
    def wait():
        listening.accept()[0].close()  # the watch has found it
        listening.close()
        threading.Event().wait()

    with watch_of(node_at(listening), monkeypatch) as watch, pytest.raises(KeyboardInterrupt) as raised:
        wait()
    said = watch.cause_of(raised.value)
    assert said.startswith("node away (127.0.0.1) is gone: connection refused for 0 s, at port ")
    assert said.endswith(" of its Ray. Go on with: main")


def test_a_learner_on_a_node_that_is_known_late_is_watched(listening, monkeypatch):
    """TransferQueue may be on other nodes than the learners, and before them: as many are known by then as the run has."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        early = {Node("head", *other.getsockname()), Node("learner", *other.getsockname())}
        looks = chain([early], repeat(early | {node_at(listening)}))
        monkeypatch.setattr(node_watch, "nodes_of_this_run", lambda: next(looks))

        def wait():
            listening.accept()[0].close()
            listening.close()
            threading.Event().wait()

        watch = NodeWatch(2, print, str, silence=0.05, between_looks=0.01)
        with watch, pytest.raises(KeyboardInterrupt) as raised:
            wait()
    assert watch.cause_of(raised.value).startswith("node away (127.0.0.1) is gone")


@pytest.mark.parametrize("faults", [{}, {A: "no answer"}])
def test_ray_is_asked_while_the_run_starts_and_all_nodes_answer(monkeypatch, faults):
    """Where Ray's head is gone, an answer takes minutes."""
    asked, looked = [], []
    monkeypatch.setattr(node_watch, "faults_of", lambda _nodes: looked.append(None) or faults)
    monkeypatch.setattr(node_watch, "nodes_of_this_run", lambda: asked.append(None) or {A, B})

    def look(number):
        enough = len(looked) + number
        while len(looked) < enough:
            time.sleep(0.001)

    with NodeWatch(2, print, str, silence=1e9, between_looks=0.001) as watch:
        look(5)
        assert bool(asked) == (not faults)
        watch.hear("phase", {"text": "loading"})
        before = len(asked)
        look(5)
        assert (len(asked) > before) == (not faults)
        watch.hear("phase", {"text": TRAINING})
        before = len(asked)
        look(10)
        assert len(asked) <= before + 2, "once more, after the look at work"


def test_a_failure_is_explained_by_a_node_that_is_gone(listening, monkeypatch):
    """Before the watch itself would say so, and not where somebody has interrupted the run."""
    node = node_at(listening)
    with watch_of(node, monkeypatch) as watch:
        listening.accept()[0].close()
    assert watch.cause_of(RuntimeError("gloo: connection closed by peer")) is None, "it answers"
    listening.close()
    assert watch.cause_of(KeyboardInterrupt()) is None
    assert "node away (127.0.0.1) is gone: connection refused, at port" in watch.cause_of(RuntimeError("gloo"))


def test_a_run_that_ends_anyway_is_not_interrupted(listening, monkeypatch):
    node = node_at(listening)
    with watch_of(node, monkeypatch) as watch:
        listening.accept()[0].close()
        watch.hear("stopping", {})
        listening.close()
        while watch._lost is None:
            pass
    assert watch.cause_of(RuntimeError("what it ended with")) == watch._lost


def test_a_trainer_that_does_not_wake_is_ended():
    """With what it has started."""
    program = """
        import signal, socket, subprocess, sys, time
        from functools import partial
        from verl_ext.training import node_watch
        node_watch.SECONDS_TO_END = 0.1
        waits = []  # something once it has started its child and can be woken
        node_watch.nodes_of_this_run = lambda: {node_watch.Node("away", "127.0.0.1", port)} if waits else set()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        with node_watch.NodeWatch(2, partial(print, flush=True), lambda: "Go on.", silence=0.05, between_looks=0.01):
            child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
            print(child.pid, flush=True)
            while True:
                try:
                    waits.append(True)
                    time.sleep(1000)
                except KeyboardInterrupt:
                    pass
    """
    done = subprocess.run([sys.executable, "-c", dedent(program)], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    child, said = done.stdout.splitlines()
    assert said.startswith("error: node away (127.0.0.1) is gone: connection refused")
    assert not psutil.pid_exists(int(child))


def test_one_node_is_not_watched(monkeypatch):
    with NodeWatch(1, print, str) as watch:
        assert not watch._thread.is_alive()
    assert watch.cause_of(RuntimeError()) is None


def test_ray_that_another_thread_is_importing_has_no_nodes(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", ModuleType("ray"))
    assert node_watch.nodes_of_this_run() == set()
