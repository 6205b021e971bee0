"""The command line of ``dynamics`` as typed options."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from verl_ext.host.command_line import CommandParser, check_names_differ, named_path, path_option

CHECKPOINTS = "--checkpoints"


@dataclass(frozen=True, kw_only=True)
class DynamicsOptions:
    """The options as the command line spells them.

    Raises:
        ValueError: A name comes twice, or a number is too small.
    """

    checkpoints: Sequence[tuple[str, str]]
    """(name, path) of each run."""
    data: Path
    base: str | None = None
    limit: int = 32
    num_samples: int = 16
    max_tokens: int = 64
    logit_positions: int = 60
    output_dir: Path = Path("outputs/dynamics")
    seed: int = 0

    def __post_init__(self) -> None:
        check_names_differ([name for name, _ in self.checkpoints], CHECKPOINTS)
        for option in ("limit", "num_samples", "max_tokens"):
            if getattr(self, option) < 1:
                raise ValueError(f"--{option} must be a whole number from 1, got {getattr(self, option)}.")
        if self.logit_positions < 0:
            raise ValueError(f"--logit_positions must be a whole number from 0, got {self.logit_positions}.")
        if self.output_dir.exists() and not self.output_dir.is_dir():
            raise ValueError(f"--output_dir {self.output_dir} is a file. Give the name of a folder.")


def parse_dynamics(arguments: Sequence[str], program: str) -> DynamicsOptions:
    """Read the command line behind ``dynamics``; raises ValueError where the options cannot be used."""
    given = vars(_parser(program).parse_args(arguments))
    return DynamicsOptions(**given | {"checkpoints": [checkpoints_path(text) for text in given["checkpoints"]]})


def dynamics_help(program: str) -> str:
    """What the command line may hold."""
    return _parser(program).format_help()


def _parser(program: str) -> CommandParser:
    parser = CommandParser(prog=program, description=_DESCRIPTION, allow_abbrev=False)
    add = parser.add_argument
    add(
        CHECKPOINTS,
        nargs="+",
        action="extend",
        required=True,
        metavar="NAME=PATH",
        help="of each run: its output folder, or a folder of models whose names end in the number of their step",
    )
    add(
        "--data",
        type=path_option,
        required=True,
        metavar="FILE",
        help="held-out problems, a parquet file of verl's rows",
    )
    add("--base", metavar="PATH", help="the model that training started from: step 0 of every run")
    add(
        "--limit",
        type=int,
        default=DynamicsOptions.limit,
        help="problems, the first of the file (default: %(default)s)",
    )
    add("--num_samples", type=int, default=DynamicsOptions.num_samples, help="answers to each (default: %(default)s)")
    add("--max_tokens", type=int, default=DynamicsOptions.max_tokens, help="of an answer (default: %(default)s)")
    add(
        "--logit_positions",
        type=int,
        default=DynamicsOptions.logit_positions,
        help="how many tokens logit_changes.png looks at, a gradient in float64 each; 0: none (default: %(default)s)",
    )
    add(
        "--output_dir",
        type=path_option,
        default=DynamicsOptions.output_dir,
        metavar="DIR",
        help="(default: %(default)s)",
    )
    add("--seed", type=int, default=0, help="of the samples (default: %(default)s)")
    return parser


_DESCRIPTION = (
    "Sample each checkpoint on held-out problems and measure, by its own full softmax: entropy, distinct answers, the share of "
    "probability that is elsewhere than in the first checkpoint, and norm and cosine of the gradients of the PSR and the NSR "
    "part of one batch. Writes dynamics.json, dynamics.png and logit_changes.png."
)


def checkpoints_path(text: str) -> tuple[str, str]:
    """The name and the path of a run's checkpoints; raises ValueError where the text is something else."""
    return named_path(text, CHECKPOINTS, "nsr=outputs/nsr")
