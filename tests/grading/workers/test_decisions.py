import asyncio
import sqlite3
from concurrent.futures import Future
from unittest.mock import Mock

import pytest

from verl_ext.grading import Reason, grade_async, mathematics
from verl_ext.grading.answers.conventions import Conventions
from verl_ext.grading.paper import grader as paper_grader
from verl_ext.grading.verdict import Decision, Tier
from verl_ext.grading.workers import decisions
from verl_ext.grading.workers.decisions import DecisionCache
from verl_ext.grading.workers.pool import GraderPool
from verl_ext.grading.workers.process import Comparison, TimedOutError


@pytest.fixture(scope="module")
def pool():
    with GraderPool(num_workers=1) as pool:
        yield pool


class CountingPool:
    """Counts what reaches the pool."""

    def __init__(self, pool):
        self.pool, self.num_submitted = pool, 0

    def submit(self, *arguments):
        self.num_submitted += 1
        return self.pool.submit(*arguments)


def test_a_distinct_pair_is_compared_once_however_it_is_spelled(pool, tmp_path):
    counting, path = CountingPool(pool), tmp_path / "decisions.sqlite"
    cache = DecisionCache(counting, path)
    futures = [cache.submit("(x+1)^2", answer) for answer in ["x^2+2x+1", r"$x^2+2x+1$", "x^{2}+2x+1"] * 5]
    assert [future.result().is_same for future in futures] == [True] * 15
    assert counting.num_submitted == 1
    assert DecisionCache(counting, path).submit("(x+1)^2", "x^2+2x+1").result().is_same is True
    assert counting.num_submitted == 1


def test_a_new_version_of_the_grader_starts_afresh(pool, tmp_path, monkeypatch):
    counting, path = CountingPool(pool), tmp_path / "decisions.sqlite"
    DecisionCache(counting, path).submit("2x", "x+x").result()
    monkeypatch.setattr(decisions, "GRADER_VERSION", "next")
    DecisionCache(counting, path).submit("2x", "x+x").result()
    assert counting.num_submitted == 2


def test_conventions_are_part_of_what_is_remembered(pool, tmp_path):
    counting, path = CountingPool(pool), tmp_path / "decisions.sqlite"
    exact = Conventions(decimals="exact")
    for cache in (DecisionCache(counting, path), DecisionCache(counting, path)):
        assert cache.submit(r"\sqrt{2}", "1.414").result().is_same is True
        assert cache.submit(r"\sqrt{2}", "1.414", conventions=exact).result().is_same is False
    assert counting.num_submitted == 2


def test_the_cache_is_bounded(pool):
    counting = CountingPool(pool)
    cache = DecisionCache(counting, max_entries=2)
    for answer in ["x+0", "x+1", "x+2", "x+0"]:
        cache.submit("x", answer).result()
    assert counting.num_submitted == 4


def test_cancelling_one_waiter_leaves_the_others_their_verdict():
    async def grade_two():
        tasks = [
            asyncio.create_task(mathematics.grade_math_async(r"\boxed{x^3+x+1}", "x(x^2+1)+1", is_truncated=False))
            for _ in range(2)
        ]
        await asyncio.sleep(0)
        tasks[0].cancel()
        return await tasks[1]

    assert asyncio.run(grade_two()).reason is Reason.CORRECT


def test_a_shared_file_that_another_process_holds_does_not_stop_the_event_loop(tmp_path, monkeypatch):
    """The loop itself lets go of the file: were it to wait for it, nobody would, and SQLite would give up."""
    monkeypatch.setattr(decisions, "FILE_TIMEOUT_SECONDS", 10.0)
    path = tmp_path / "decisions.db"
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("CREATE TABLE unrelated (x)")
    other.execute("BEGIN EXCLUSIVE")

    async def let_go():
        other.execute("ROLLBACK")

    async def grade_while_it_is_held():
        answer = mathematics.grade_math_async(r"\boxed{x^2+5x+5}", "x(x+5)+5", is_truncated=False)
        return (await asyncio.gather(answer, let_go()))[0]

    with GraderPool(num_workers=1) as pool:
        cache = DecisionCache(pool, path)
        monkeypatch.setattr(mathematics, "shared_decisions", lambda: cache)
        verdict = asyncio.run(grade_while_it_is_held())
    assert verdict.reason is Reason.CORRECT, verdict
    assert other.execute("SELECT answer, is_same FROM decisions").fetchall() == [("x^2+5x+5", 1)]
    other.close()


def test_a_file_that_cannot_be_opened_is_a_fault_of_the_grader_not_of_the_answer(tmp_path):
    with GraderPool(num_workers=1) as pool, pytest.raises(sqlite3.OperationalError):
        DecisionCache(pool, tmp_path / "no such folder" / "file").submit("x", "y").result()


@pytest.mark.parametrize("path", [None, "decisions.sqlite"])
def test_a_closed_pool_is_said_to_whoever_asks(tmp_path, path):
    pool = GraderPool(num_workers=1)
    pool.close()
    cache = DecisionCache(pool, path and tmp_path / path)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="closed"):
            cache.submit("x", "y").result()


PAPER = (r"\boxed{(x+1)^2}", "x^2+2x+1")


def grade_as_the_paper(times):
    async def grade_all():
        return await asyncio.gather(*(grade_async(*PAPER, "math", grader="paper") for _ in range(times)))

    return asyncio.run(grade_all())


def test_the_papers_grader_compares_a_pair_once(monkeypatch, pool):
    counting = CountingPool(pool)
    cache = DecisionCache(counting)
    monkeypatch.setattr(paper_grader, "shared_decisions", lambda: cache)
    assert [verdict.reason for verdict in grade_as_the_paper(3)] == [Reason.CORRECT] * 3, "while it is in flight"
    assert [verdict.reason for verdict in grade_as_the_paper(3)] == [Reason.CORRECT] * 3, "when it is known"
    assert counting.num_submitted == 1


@pytest.mark.parametrize(("comparison", "is_same"), [(Comparison.SYMBOLIC, True), (Comparison.PAPER, False)])
def test_the_papers_comparison_reads_every_character(pool, comparison, is_same):
    """To it ``{x+1}`` is a set, to the symbolic tier a spelling of ``x+1``; neither takes the other's decision."""
    cache = DecisionCache(pool)
    for kind in Comparison.PAPER, Comparison.SYMBOLIC:
        assert cache.submit("1+x", "x+1", kind).result().is_same
    assert cache.submit("1+x", "{x+1}", comparison).result().is_same is is_same


def test_a_time_out_is_not_kept():
    futures = [Future(), Future()]
    waiting = iter(futures)
    pool = Mock(submit=lambda *_pair: next(waiting))
    cache = DecisionCache(pool)
    first, second = cache.submit("x", "y"), cache.submit("x", "y")
    futures[0].set_exception(TimedOutError("no decision within 2 s"))
    for future in (first, second):
        with pytest.raises(TimedOutError):
            future.result()
    third = cache.submit("x", "y")
    futures[1].set_result(Decision(False, Tier.SYMBOLIC))
    assert third.result().is_same is False
