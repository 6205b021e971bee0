"""Where the metrics go: verl makes its loggers when the model is loaded."""

import netrc
import os
from difflib import get_close_matches
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

from verl_ext.training.paths import local_path

MODULES = {
    "wandb": "wandb",
    "tracking": "wandb",
    "mlflow": "mlflow",
    "swanlab": "swanlab",
    "vemlp_wandb": "volcengine_ml_platform",
    "tensorboard": "tensorboard",
    "console": None,
    "clearml": "clearml",
    "trackio": "trackio",
    "file": None,
    "rl_insight": "rl_insight",
}
"""verl 0.9.1's loggers, and what each imports."""

WANDB_WITHOUT_ACCOUNT = ("offline", "disabled", "dryrun")


def check_loggers(config: Any) -> None:
    """verl has each logger, it is installed, and it can log in."""
    value = config.trainer.logger
    for name in [value] if isinstance(value, str) else value:
        if name not in MODULES:
            near = get_close_matches(str(name), MODULES, n=1, cutoff=0.5)
            hint = f"Did you mean {near[0]}?" if near else f"There are {', '.join(MODULES)}."
            raise ValueError(f"trainer.logger={name} is not a logger of verl. {hint}")
        module = MODULES[name]
        if module is not None and find_spec(module) is None:
            raise ValueError(f"trainer.logger={name} needs the package {module}, which is not installed here.")
        if module == "wandb" and not _wandb_can_log_in():
            raise ValueError(
                f"trainer.logger={name}: there is no account of Weights & Biases here, and it would ask for one where nobody "
                "sees it. Run wandb login, set WANDB_API_KEY, or write on this machine only with WANDB_MODE=offline."
            )


def _wandb_can_log_in() -> bool:
    if os.environ.get("WANDB_MODE", "").lower() in WANDB_WITHOUT_ACCOUNT:
        return True
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    host = urlsplit(os.environ.get("WANDB_BASE_URL") or "https://api.wandb.ai").hostname
    for name in (os.environ.get("NETRC") or "~/.netrc", "~/_netrc"):
        try:
            if netrc.netrc(str(local_path(name))).authenticators(host or "") is not None:
                return True
        except (OSError, netrc.NetrcParseError):
            continue
    return False
