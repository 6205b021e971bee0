"""What is told of an engine's process that ends too early; a shell stands in for it."""

import asyncio

import pytest

from verl_ext.evaluation.sampler import Chunk
from verl_ext.evaluation.sampling_settings import Sampling
from verl_ext.evaluation.vllm_process import Job
from verl_ext.evaluation.vllm_sampler import EngineError, VllmSampler


@pytest.mark.parametrize(
    ("end", "num_engines", "told"),
    [
        ("exit 3", 1, "vLLM's process ended with exit code 3."),
        ("kill -TERM $$", 1, "vLLM's process ended with exit code -15."),
        (
            "kill -KILL $$",
            1,
            "vLLM's process was killed (exit code -9), most likely for memory. Take a smaller model, ",
        ),
        (
            "kill -KILL $$",
            2,
            "vLLM's process was killed (exit code -9), most likely for memory. Take fewer engines than 2, ",
        ),
    ],
)
def test_how_it_ended(monkeypatch, end, num_engines, told):
    async def start(self, environment):
        pipe = asyncio.subprocess.PIPE
        return await asyncio.create_subprocess_exec(
            *("sh", "-c", f"read job; {end}"), stdin=pipe, stdout=pipe, start_new_session=True
        )

    async def draw():
        return [answered async for answered in sampler.draw([Chunk(problem=0, first=0, seed=1, count=1)])]

    monkeypatch.setattr(VllmSampler, "_start", start)
    job = Job(
        model="model", prompts=["?"], question_ids=["0"], sampling=Sampling(temperature=1.0, top_p=1.0, max_tokens=4),
        context=None, chat_options={}, engine_options={},
    )  # fmt: skip
    sampler = VllmSampler(job, None, 1, num_engines)
    with pytest.raises(EngineError) as failed:
        asyncio.run(draw())
    assert str(failed.value).startswith(told)
