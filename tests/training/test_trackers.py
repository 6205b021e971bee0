"""``trainer.logger``: what verl's trackers keep of a run of ours, offline, numbers and tables of sampled answers.

Each is opened and fed as verl's trainer does it, with the configuration that ours composes, and read back from the disk.
"""

import json
import struct

import numpy as np
import pytest
from omegaconf import OmegaConf
from verl.utils.tracking import Tracking, ValidationGenerationsLogger

from tests.training.conftest import overrides_of
from tests.training.stand_in import trainer_with

METRICS = {
    0: {"val-core/countdown/acc/mean@4": 0.25, "val-core/countdown/acc/pass@4": 0.5},
    1: {"train/correct_ratio": 0.375, "train/reason/no_answer": 0.125, "actor/pg_loss": np.float64(-0.5)},
}
"""Step -> what our trainer logs of it, names and kinds of numbers included."""
PROMPTS, ANSWERS, SCORES = (
    ["1 2 3 = 6", "4 5 6 = 15", "7 8 9 = 1"],
    ["1+2+3", "<b>4</b>+5+6", "\u202e7"],
    [1.0, 1.0, 0.0],
)


@pytest.fixture
def tracked(folder, tmp_path, monkeypatch):
    """Feed a tracker; everything that it writes is below the test's folder."""
    monkeypatch.chdir(tmp_path)

    def feed(name, **variables):
        for variable, value in variables.items():
            monkeypatch.setenv(variable, value)
        options = [f"trainer.logger=[{name}]", "trainer.log_val_generations=2"]
        trainer = trainer_with(*overrides_of(folder), *options)
        config = trainer.config
        project = {"project_name": config.trainer.project_name, "experiment_name": config.trainer.experiment_name}
        plain = OmegaConf.to_container(config, resolve=True)
        trainer.logger = Tracking(**project, default_backend=config.trainer.logger, config=plain)
        trainer.validation_generations_logger = ValidationGenerationsLogger(**project)
        for step, metrics in METRICS.items():
            trainer.global_steps = step
            if step == 0:
                trainer._maybe_log_val_generations(inputs=PROMPTS, outputs=ANSWERS, scores=SCORES)
            trainer.logger.log(data=metrics, step=step)
        assert list(trainer.logger.logger) == [name], "verl goes on without a tracker that it could not open"
        trainer.logger.finish()
        return config

    return feed


def is_sample(prompt, answer, score):
    return (prompt, answer, score) in zip(PROMPTS, ANSWERS, SCORES, strict=True)


def test_tensorboard(tracked, tmp_path):
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    tracked("tensorboard", TENSORBOARD_DIR=str(tmp_path / "events"))
    read = events.EventAccumulator(str(tmp_path / "events"))
    read.Reload()
    found = {name: [(event.step, event.value) for event in read.Scalars(name)] for name in read.Tags()["scalars"]}
    assert found == {
        name: [(step, pytest.approx(value))] for step, metrics in METRICS.items() for name, value in metrics.items()
    }
    (text,) = [event.tensor_proto.string_val[0].decode() for event in read.Tensors("val/generations/text_summary")]
    assert text.count("### Sample") == 2
    assert sum(answer in text for answer in ANSWERS) == 2


def wandb_records(data):
    """The records of an offline run: a log of LevelDB's kind, in blocks of 32 kB, behind a header of 7 bytes."""
    place, parts = 7, []
    while place + 7 <= len(data):
        if 32768 - place % 32768 < 7:  # no room for a header: the block is filled up
            place += 32768 - place % 32768
            continue
        length, kind = struct.unpack("<HB", data[place + 4 : place + 7])
        parts.append(data[place + 7 : place + 7 + length])
        place += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield b"".join(parts)
            parts = []


def test_wandb(tracked, tmp_path):
    pytest.importorskip("wandb", reason="wandb is not installed")
    from wandb.proto import wandb_internal_pb2

    config = tracked("wandb", WANDB_MODE="offline", WANDB_DIR=str(tmp_path), WANDB_SILENT="true")
    (folder,) = (tmp_path / "wandb").glob("offline-run-*")
    (table,) = folder.rglob("*.table.json")
    kept = json.loads(table.read_text())
    assert kept["columns"] == ["step", "input_1", "output_1", "score_1", "input_2", "output_2", "score_2"]
    ((step, *row),) = kept["data"]
    assert step == 0
    assert is_sample(*row[:3])
    assert is_sample(*row[3:])
    found, settings = {}, {}
    for text in wandb_records(next(folder.glob("*.wandb")).read_bytes()):
        record = wandb_internal_pb2.Record.FromString(text)
        items = {item.key or "/".join(item.nested_key): item.value_json for item in record.history.item}
        found |= {(json.loads(items["_step"]), name): value for name, value in items.items()} if items else {}
        for item in (*record.run.config.update, *record.config.update):
            settings[item.key] = json.loads(item.value_json)
    for step, metrics in METRICS.items():
        for name, value in metrics.items():
            assert json.loads(found[step, name]) == value
    assert settings["algorithm"]["adv_estimator"] == config.algorithm.adv_estimator


def test_mlflow(tracked, tmp_path):
    pytest.importorskip("mlflow", reason="mlflow is not installed")
    from mlflow.tracking import MlflowClient

    place = (tmp_path / "mlruns").as_uri()
    config = tracked("mlflow", MLFLOW_TRACKING_URI=place, MLFLOW_ALLOW_FILE_STORE="true")
    client = MlflowClient(place)
    (run,) = client.search_runs([client.get_experiment_by_name(config.trainer.project_name).experiment_id])
    for metrics in METRICS.values():
        for name, value in metrics.items():
            assert run.data.metrics[name.replace("@", "_at_")] == value, "mlflow takes no @ in a name"
    assert run.info.run_name == config.trainer.experiment_name
    assert run.data.params["algorithm/adv_estimator"] == config.algorithm.adv_estimator
    (artifact,) = client.list_artifacts(run.info.run_id)
    kept = json.loads((tmp_path / client.download_artifacts(run.info.run_id, artifact.path)).read_text())
    assert artifact.path == "val_step0.json"
    assert len(kept) == 2
    assert all(is_sample(row["input"], row["output"], row["score"]) for row in kept)


def test_swanlab(tracked, tmp_path):
    pytest.importorskip("swanlab", reason="swanlab is not installed")
    tracked("swanlab", SWANLAB_MODE="offline", SWANLAB_LOG_DIR=str(tmp_path / "swanlog"))
    kept = b"".join(path.read_bytes() for path in (tmp_path / "swanlog").rglob("*") if path.is_file())
    for metrics in METRICS.values():
        for name in metrics:
            assert name.encode() in kept
    assert b"val/generations" in kept
