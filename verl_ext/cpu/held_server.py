"""verl's vLLM server, whose engine can be held until it has what it is to compute together."""

from typing import Any

from verl.workers.rollout.vllm_rollout.vllm_async_server import vLLMHttpServer


class HeldServer(vLLMHttpServer):
    """The same, and what a run that repeats asks of it (``verl_ext.cpu.agent_loop``)."""

    engine: Any

    async def hold(self) -> None:
        """Let the engine take requests, and begin with none."""
        await self.engine.pause_generation(mode="keep", clear_cache=False)

    async def num_requests(self) -> int:
        """How many the engine has been sent and has not answered."""
        return len(self.engine.output_processor.request_states)

    async def go_on(self) -> None:
        """Let the engine begin with what it has been sent."""
        await self.engine.resume_generation()
