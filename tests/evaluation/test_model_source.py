"""A model of this machine: its context, its accelerators."""

import pytest

from verl_ext.evaluation import model_source
from verl_ext.evaluation.model_source import ModelSource, context_of, device_shares
from verl_ext.evaluation.run_options import EvaluationOptions


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
