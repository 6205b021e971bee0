"""The process that holds vLLM, up to the point where it would load it."""

import io
import json
import shutil
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest

from verl_ext.evaluation.sampling_settings import Sampling
from verl_ext.evaluation.vllm_process import BAD_INPUT, Job, _Replies, check_fits

SAMPLING = Sampling(temperature=1.0, top_p=1.0, max_tokens=8)


def job_of(model_folder, prompts, **options):
    ids = [str(number) for number in range(len(prompts))]
    return Job(
        model=str(model_folder),
        prompts=prompts,
        question_ids=ids,
        sampling=SAMPLING,
        context=None,
        engine_options=options,
    )


def test_a_prompt_leaves_room_for_an_answer():
    check_fits("3", 7, 8)
    check_fits("3", 9, None)
    with pytest.raises(ValueError, match="The prompt of question 3 has 8 tokens and the model's context is 8"):
        check_fits("3", 8, 8)


def error_of(job):
    """What a process says of a job that it does not take, before vLLM is imported."""
    with subprocess.Popen(
        [sys.executable, "-X", "importtime", "-m", "verl_ext.evaluation.vllm_process"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        process.stdin.write(json.dumps(job) + "\n")
        process.stdin.flush()
        # Not communicate: the end of its input would be the end of its parent.
        stderr = process.stderr.read()
        error = json.loads(process.stdout.read())["error"]
    assert process.returncode == BAD_INPUT
    assert "| vllm" not in stderr
    return error


CHAT = [{"role": "user", "content": "hi"}]


def test_a_prompt_too_long_is_said_before_vllm_is_imported(model_folder):
    """Only the tokenizer's template tells how long a chat prompt is."""
    job = job_of(model_folder, ["hi", CHAT]).as_json() | {"context": 6}
    assert "there is no room for an answer" in error_of(job)


def test_a_missing_chat_template_is_said_before_vllm_is_imported(model_folder, tmp_path):
    shutil.copytree(model_folder, tmp_path / "model")
    (tmp_path / "model" / "chat_template.jinja").unlink()
    error = error_of(job_of(tmp_path / "model", ["hi", CHAT]).as_json())
    assert error == f"The tokenizer of {tmp_path / 'model'} has no chat template: choose one with --template."


def test_it_ends_with_its_parent(model_folder):
    """Killed, with all of its group, as soon as nobody holds the other end of its input."""
    done = subprocess.run(
        [sys.executable, "-m", "verl_ext.evaluation.vllm_process"], input="", check=False, start_new_session=True
    )
    assert done.returncode == -signal.SIGKILL


def test_answers_are_sent_as_text_in_whole_lines():
    class OneByteAtATime(io.BytesIO):
        def write(self, data):
            return super().write(bytes(data[:1]))

    tokenizer = SimpleNamespace(batch_decode=lambda ids, skip_special_tokens: ["".join(map(chr, one)) for one in ids])
    stream = OneByteAtATime()
    replies = _Replies(stream, tokenizer)
    replies.put(7, [SimpleNamespace(token_ids=[104, 233], finish_reason="stop")])
    replies.close()
    assert json.loads(stream.getvalue()) == {"id": 7, "answers": [["hé", "stop", 2]]}
