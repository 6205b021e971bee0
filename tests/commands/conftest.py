"""The model and the problems that the evaluation's own tests use."""

from tests.evaluation.conftest import model_folder, rows_file  # noqa: F401
