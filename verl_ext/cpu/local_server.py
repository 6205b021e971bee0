"""verl's vLLM server in a thread of the trainer's process, with vLLM's engine forked from it.

verl makes an actor of Ray of it: a process that imports torch, verl and vLLM again, and a message to it and back for each
sample. With one replica the trainer's process can have it, which waits while the engine samples.
"""

import os
from typing import Any

from verl.plugin.platform import get_platform

from verl_ext.cpu.held_server import HeldServer
from verl_ext.cpu.loop_thread import LoopThread, ToCome


class _Method:
    def __init__(self, thread: LoopThread, method: Any) -> None:
        self._thread, self._method = thread, method

    def remote(self, *arguments: Any, **options: Any) -> ToCome:
        return self._thread.start(self._method, *arguments, **options)


class LocalServer:
    """Answers as a handle of Ray's to the server would: ``server.generate.remote(...)`` is awaited."""

    def __init__(self, **arguments: Any) -> None:
        self._thread = LoopThread("vllm-server")
        self._server = self._thread.call(HeldServer, **arguments)

    def __getattr__(self, name: str) -> _Method:
        return _Method(self._thread, getattr(self._server, name))


class LocalServerClass:
    """Stands for ``ray.remote(HeldServer)``, from which a replica makes its server."""

    def options(self, runtime_env: dict[str, Any], **_of_an_actor: Any) -> "LocalServerClass":
        """Take the variables of the server's process for this one; node and name are those of an actor."""
        names = set(runtime_env["env_vars"]) - {"LD_PRELOAD", *get_platform().ray_noset_envvars()}
        os.environ.update({name: runtime_env["env_vars"][name] for name in names})
        return self

    def remote(self, **arguments: Any) -> LocalServer:
        return LocalServer(**arguments)
