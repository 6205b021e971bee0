"""Answers from a model that vLLM loads on this machine."""

import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, TextIO

from verl_ext.cpu.precision import dtype_on_cpu, has_fast_bfloat16, parameters_in, stored_dtype
from verl_ext.evaluation.cpu_share import (
    BYTES_OF,
    MOST_ANSWERS,
    answers_in_flight,
    available_cores,
    cache_bytes,
    check_engine,
    engine_bytes,
    share_of,
)
from verl_ext.evaluation.kept_engines import KeptEngines
from verl_ext.evaluation.model_path import find_model, fingerprint, merge
from verl_ext.evaluation.problems import Problem
from verl_ext.evaluation.run_options import EvaluationOptions
from verl_ext.evaluation.sampler import Sampler
from verl_ext.evaluation.sampling_settings import Sampling, defaults_of
from verl_ext.evaluation.vllm_process import Job, check_fits
from verl_ext.evaluation.vllm_sampler import VllmSampler
from verl_ext.host.accelerators import num_accelerators
from verl_ext.host.command_line import shown
from verl_ext.host.free_memory import GIB, read_memory
from verl_ext.host.tensor_files import check_tensors
from verl_ext.host.vllm_on_cpu import ENGINE, TOKEN_DRAW

DEVICE_VARIABLES = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ASCEND_RT_VISIBLE_DEVICES")


class ModelSource:
    """A model on disk, or one that can be merged from what is there; see ``Source``."""

    def __init__(self, options: EvaluationOptions, engines: KeptEngines | None = None) -> None:
        self._options, self._engines = options, engines
        self._model = find_model(options.model_path)
        config = self._model.config
        self._context = context_of(config, options.max_model_len)
        self.defaults = defaults_of(options.model_path, str(config.get("model_type")), self._model.tokenizer_text)

    @property
    def chunk_size(self) -> int:
        return self._options.chunk_size

    def check(self, problems: Sequence[Problem]) -> None:
        """The accelerators asked for exist, or an engine fits into memory; and no prompt is known to leave no room for an answer.

        The engine's process counts the tokens of a chat prompt exactly, seconds later.
        """
        options, available = self._options, num_accelerators()
        num_engines = options.data_parallel_size or 1
        wanted = options.tensor_parallel_size * num_engines
        if available and wanted > available:
            raise ValueError(
                f"--tensor_parallel_size {options.tensor_parallel_size} x --data_parallel_size "
                f"{num_engines} needs {wanted} accelerators, and there are {available}."
            )
        self._check_memory()
        if self._context is None:
            return
        for problem in problems:
            # A token is a byte at least, so most prompts need no counting.
            if problem.num_bytes >= self._context:
                check_fits(problem.question_id, self._model.count_tokens(problem.texts), self._context)

    def prepare(self, log: TextIO) -> dict[str, Any]:
        model = self._model
        if model.to_merge is not None:
            print(f"merging {model.to_merge} into {model.folder}", flush=True)
            merge(model, log)
            self._check_memory()
        check_tensors(sorted(model.folder.glob("*.safetensors")))
        return {"name": shown(self._options.model_path), "fingerprint": fingerprint(model.folder)}

    def sampling_facts(self) -> dict[str, Any]:
        facts = {"dtype": self._dtype(), "max_model_len": self._options.max_model_len}
        return facts if num_accelerators() else facts | {"token_draw": TOKEN_DRAW}

    def engine_options(self) -> dict[str, Any]:
        options = self._options
        chosen: dict[str, Any] = {
            "max_num_seqs": self._max_num_seqs(),
            "tensor_parallel_size": options.tensor_parallel_size,
            "dtype": self._dtype(),
            "enable_prefix_caching": True,
        }
        if options.max_model_len is not None:
            chosen["max_model_len"] = options.max_model_len
        if not num_accelerators():
            # vLLM 0.28 rewinds the generator of a seeded request whose prefill it cut; a CPU generator cannot
            chosen |= {"enforce_eager": True, "distributed_executor_backend": "uni", "enable_chunked_prefill": False}
            chosen |= ENGINE
        return {**chosen, **options.engine_options}

    def describe(self) -> list[str]:
        stored = stored_dtype(self._model.folder)
        dtype = self._dtype()
        of_weights = f" (weights: {stored})" if stored is not None and dtype not in (stored, "auto") else ""
        engines = self._environments
        num_threads = engines[0].get("OMP_NUM_THREADS")
        threads = {None: "", "1": " of 1 thread"}.get(num_threads, f" of {num_threads} threads")
        return [
            f"engines   {len(engines)}{threads}, {self._max_num_seqs()} answers in flight each, precision {dtype}{of_weights}"
        ]

    def warnings(self) -> list[str]:
        if num_accelerators():
            return []
        found = []
        if self._options.dtype == "bfloat16" and not has_fast_bfloat16():
            found.append(
                "precision bfloat16 has no instructions on this processor: --dtype float32 is many times faster"
            )
        number, memory = len(self._environments), read_memory()
        needed = number * engine_bytes(self._num_parameters, self._dtype())
        if needed > memory.available:
            engines = "an engine needs" if number == 1 else f"{number} engines need"
            found.append(
                f"memory    {engines} about {needed / GIB:.1f} GiB, and there are {memory.available / GIB:.1f} GiB "
                f"{memory.bound}: a process may be killed"
            )
        return found

    def sampler(
        self, problems: Sequence[Problem], sampling: Sampling, chat_options: Mapping[str, Any], log: TextIO
    ) -> Sampler:
        job = Job(
            model=str(self._model.folder),
            prompts=[problem.prompt_as_json() for problem in problems],
            question_ids=[problem.question_id for problem in problems],
            sampling=sampling,
            context=self._context,
            chat_options=dict(chat_options),
            engine_options=self.engine_options(),
        )
        environments = self._environments
        return VllmSampler(job, log, self._max_num_seqs(), len(environments), environments, self._engines)

    @property
    def _num_parameters(self) -> int:
        """0 where they are not here yet, or pickled."""
        return parameters_in(self._model.folder) or 0

    def _check_memory(self) -> None:
        number = self._num_parameters
        if number and not num_accelerators():
            check_engine(shown(self._options.model_path), number, self._dtype(), read_memory())

    def _dtype(self) -> str:
        if self._options.dtype not in (None, "auto"):
            return self._options.dtype
        if num_accelerators():
            return "auto"
        folder = self._model.folder
        return dtype_on_cpu(stored_dtype(folder), parameters_in(folder))

    def _max_num_seqs(self) -> int:
        options = self._options
        if options.max_num_seqs is not None:
            return options.max_num_seqs
        if num_accelerators():
            return MOST_ANSWERS
        max_tokens = options.sampling_of(self.defaults.sampling).max_tokens
        return answers_in_flight(self._model.config, self._dtype(), max_tokens, cache_bytes())

    @cached_property
    def _environments(self) -> list[dict[str, str]]:
        """Of each engine, what its environment has beside this process's."""
        options = self._options
        if num_accelerators():
            return device_shares(options.data_parallel_size or 1, options.tensor_parallel_size)
        weight_bytes = self._num_parameters * BYTES_OF.get(self._dtype(), 2)
        share = share_of(
            available_cores(),
            weight_bytes=weight_bytes,
            memory=read_memory().available,
            wanted=options.data_parallel_size,
        )
        return [{"OMP_NUM_THREADS": str(share.num_threads)} for _ in range(share.num_engines)]


def context_of(config: Mapping[str, Any], wanted: int | None) -> int | None:
    """Tokens that a prompt and its answer may have together; None where the configuration does not say.

    Args:
        config: Of the model.
        wanted: ``--max_model_len``.

    Raises:
        ValueError: More is wanted than the model was made for.
    """
    longest: int | None = config.get("max_position_embeddings")
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    is_scaled = rope.get("rope_type", rope.get("type", "default")) != "default"
    if wanted is not None and longest is not None and wanted > longest and not is_scaled:
        raise ValueError(f"--max_model_len {wanted} is more than the {longest} tokens that the model was made for.")
    return wanted or longest


def device_shares(num_engines: int, size: int) -> list[dict[str, str]]:
    """What tells each of several engines its own ``size`` accelerators, as variables of its environment.

    Two engines of two accelerators each get ``CUDA_VISIBLE_DEVICES=0,1`` and ``=2,3``; one engine, and engines without
    accelerators, get nothing.
    """
    available = num_accelerators()
    if num_engines == 1 or not available:
        return [{} for _ in range(num_engines)]
    variable = next((name for name in DEVICE_VARIABLES if os.environ.get(name)), DEVICE_VARIABLES[0])
    visible = os.environ.get(variable)
    devices = visible.split(",") if visible else [str(index) for index in range(available)]
    return [{variable: ",".join(devices[i * size : (i + 1) * size])} for i in range(num_engines)]
