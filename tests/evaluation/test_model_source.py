"""A model of this machine: its context, its accelerators."""

import json
import shutil

import pytest

from verl_ext.evaluation import cpu_share, model_source
from verl_ext.evaluation.model_source import ModelSource, context_of, device_shares
from verl_ext.evaluation.run_options import EvaluationOptions
from verl_ext.host.free_memory import GIB, Memory


def test_the_context_is_the_models_or_what_is_asked_for():
    assert context_of({}, None) is None
    assert context_of({"max_position_embeddings": 4096}, None) == 4096
    assert context_of({"max_position_embeddings": 4096}, 100) == 100
    with pytest.raises(ValueError, match="--max_model_len 5000 is more than the 4096 tokens"):
        context_of({"max_position_embeddings": 4096}, 5000)
    scaled = {"max_position_embeddings": 4096, "rope_scaling": {"type": "yarn"}}
    assert context_of(scaled, 5000) == 5000


@pytest.mark.parametrize(
    ("available", "visible", "num_engines", "shares"),
    [
        (4, None, 1, [{}]),
        (0, None, 2, [{}, {}]),
        (4, None, 2, [{"CUDA_VISIBLE_DEVICES": "0,1"}, {"CUDA_VISIBLE_DEVICES": "2,3"}]),
        (4, "4,5,6,7", 2, [{"CUDA_VISIBLE_DEVICES": "4,5"}, {"CUDA_VISIBLE_DEVICES": "6,7"}]),
    ],
)
def test_engines_share_the_accelerators(monkeypatch, available, visible, num_engines, shares):
    monkeypatch.setattr(model_source, "num_accelerators", lambda: available)
    for name in model_source.DEVICE_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert device_shares(num_engines, 2) == shares


def test_more_accelerators_than_there_are(monkeypatch, model_folder, tmp_path):
    monkeypatch.setattr(model_source, "num_accelerators", lambda: 2)
    options = EvaluationOptions(
        model_path=str(model_folder), task=["MATH"], output_dir=tmp_path, tensor_parallel_size=2, data_parallel_size=2
    )
    with pytest.raises(ValueError, match="--data_parallel_size 2 needs 4 accelerators, and there are 2"):
        ModelSource(options).check([])


@pytest.fixture
def of_three_billion(model_folder, tmp_path, monkeypatch):
    """A source of a model of 3 billion parameters, by its files' headers, on a CPU with so much memory."""
    folder = shutil.copytree(model_folder, tmp_path / "large")
    entry = {"dtype": "BF16", "shape": [3_000_000, 1000], "data_offsets": [0, 6_000_000_000]}
    header = json.dumps({"weight": entry}).encode()
    (folder / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    monkeypatch.setattr(model_source, "num_accelerators", lambda: 0)
    monkeypatch.delenv(cpu_share.KV_CACHE_VARIABLE, raising=False)

    def source(available, total, **options):
        memory = Memory(
            int(available * GIB), int(total * GIB), "free on this machine", "all of the control group's limit"
        )
        monkeypatch.setattr(model_source, "read_memory", lambda: memory)
        return ModelSource(EvaluationOptions(model_path=str(folder), task=["MATH"], output_dir=tmp_path, **options))

    return source


def test_a_model_that_cannot_fit_is_refused(of_three_billion):
    """3 billion numbers of 4 bytes, a cache of 1 GiB and 1.5 GiB of the process: 13.7 GiB; in bfloat16 8.1."""
    with pytest.raises(ValueError, match="--model_path .*large") as refused:
        of_three_billion(6, 8, dtype="float32").check([])
    told = str(refused.value)
    assert "needs about 13.7 GiB (weights in float32 11.2, cache 1.0, process 1.5)" in told
    assert "there are 8.0 GiB (all of the control group's limit)" in told
    assert "--dtype bfloat16" not in told, "it would not fit either"
    assert "\n" not in told
    with pytest.raises(ValueError, match="8.1 GiB.* Take a smaller model, or a machine"):
        of_three_billion(6, 8, dtype="bfloat16").check([])
    with pytest.raises(ValueError, match="--dtype bfloat16, which needs 8.1"):
        of_three_billion(6, 9, dtype="float32").check([])


def test_what_only_others_take_is_no_reason_to_refuse_a_model(of_three_billion):
    source = of_three_billion(6, 24, dtype="float32")
    source.check([])
    (warning,) = source.warnings()
    assert warning.startswith("memory    an engine needs about 13.7 GiB, and there are 6.0 GiB free on this machine")
    many = of_three_billion(20, 24, dtype="float32", data_parallel_size=2)
    many.check([])
    (warning,) = many.warnings()
    assert warning.startswith("memory    2 engines need about 27.4 GiB, and there are 20.0 GiB free on this machine")
    plenty = of_three_billion(64, 64, dtype="float32")
    plenty.check([])
    assert plenty.warnings() == []


def test_the_memory_of_accelerators_is_not_this_machines(of_three_billion, monkeypatch):
    source = of_three_billion(1, 1, dtype="float32")
    monkeypatch.setattr(model_source, "num_accelerators", lambda: 1)
    source.check([])
    assert source.warnings() == []


def test_weights_that_cannot_be_counted_are_not_compared(of_three_billion, tmp_path):
    source = of_three_billion(6, 8, dtype="float32")
    (tmp_path / "large" / "model.safetensors").rename(tmp_path / "large" / "pytorch_model.bin")
    source.check([])
