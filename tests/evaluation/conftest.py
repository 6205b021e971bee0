"""A model folder with a real tokenizer, rows, and a sampler that needs no model."""

import asyncio
import json
from pathlib import Path

import pytest

from verl_ext.data.parquet import write_rows
from verl_ext.data.rows import make_row
from verl_ext.evaluation.problems import Problem
from verl_ext.evaluation.sampler import Answer


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory) -> Path:
    """The configuration and the tokenizer of the small model, and weights that nobody loads."""
    from verl_ext.small_model.tokenizer import build_tokenizer

    folder = tmp_path_factory.mktemp("model")
    build_tokenizer(max_length=256).save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps({"model_type": "qwen2", "max_position_embeddings": 2048}))
    (folder / "model.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}" + b"\0" * 4096)
    return folder


@pytest.fixture(scope="session")
def rows_file(tmp_path_factory) -> Path:
    """Four rows: three of MATH and one of Countdown."""
    path = tmp_path_factory.mktemp("rows") / "problems.parquet"
    truths = [("math", "12"), ("math", r"\frac{1}{2}"), ("math", "(1, 2)")]
    truths += [("countdown", json.dumps({"numbers": [1, 2, 3], "target": 6}))]
    rows = [
        make_row(data_source=source, prompt=f"Question {index}?", ground_truth=truth, split="test", index=index)
        for index, (source, truth) in enumerate(truths)
    ]
    write_rows(rows, path)
    return path


@pytest.fixture
def problems() -> list[Problem]:
    return [
        Problem(
            question_id=str(index),
            task="math",
            prompt=f"Question {index}?",
            reference=str(index),
            level=f"Level {index % 2}",
            subject="Algebra",
        )
        for index in range(4)
    ]


class FakeSampler:
    """Answers sample i of problem j with a box around i: right where i = j. Draws the chunks from last to first."""

    def __init__(self, fails_after: int | None = None) -> None:
        self.fails_after = fails_after
        self.drawn = []
        self.rendered_prompts = []
        self.seconds = []
        self.num_repeats = 0

    async def draw(self, chunks):
        for number, chunk in enumerate(reversed(chunks)):
            await asyncio.sleep(0)
            if number == self.fails_after:
                raise RuntimeError("the sampler broke")
            self.drawn.append(chunk)
            answers = [
                Answer(f"So it is \\boxed{{{index}}}.", "stop", 7)
                for index in range(chunk.first, chunk.first + chunk.count)
            ]
            yield chunk, answers
