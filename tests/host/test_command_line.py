"""What was typed as a path is that path, and a mistyped option is named with the nearest."""

import argparse
import importlib.util
import os
import sys
from pathlib import Path

import pytest

from verl_ext.analysis import __main__ as analysis
from verl_ext.checkpoint import __main__ as checkpoint
from verl_ext.commands import evaluate
from verl_ext.export import __main__ as export
from verl_ext.host.command_line import CommandParser, path_option, shown, typed_path
from verl_ext.report import __main__ as report
from verl_ext.study import __main__ as study
from verl_ext.viewer import __main__ as viewer

ROOT = Path(__file__).parents[2]


def test_a_tilde_is_the_home_folder_unless_there_is_such_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/somebody")
    assert typed_path("~/data") == Path("/home/somebody/data")
    assert typed_path("~nobody-of-this-name") == Path("~nobody-of-this-name")
    for name in ("~", "~a", "a=b", "é b"):
        (tmp_path / name).mkdir()
        assert typed_path(name) == Path(name)


@pytest.mark.parametrize("text", ["", "  "])
def test_an_empty_path_is_not_the_current_folder(text):
    with pytest.raises(argparse.ArgumentTypeError, match="expected a path, got an empty text"):
        path_option(text)


def test_names_are_shown_as_utf8():
    assert shown("é") == "é"
    assert shown(os.fsdecode(b"\xff.jsonl")) == "\N{REPLACEMENT CHARACTER}.jsonl"
    shown(os.fsdecode("é".encode("latin-1"))).encode()


def script(name):
    """The main function of a file of scripts/."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module.main


MISTYPED = [
    (lambda words: evaluate.main(words, ""), ["--num_sample", "4"], "--num_sample", "--num_samples"),
    (lambda words: evaluate.main(words, ""), ["--model=x", "--task", "MATH"], "--model", "--model_path"),
    (script("prepare_data"), ["math", "--uot", "x"], "--uot", "--out"),
    (script("prepare_data"), ["countdown", "--out", "x", "--num_trian=3"], "--num_trian", "--num_train"),
    (script("get_model"), ["smollm2-135m", "--ouut", "x"], "--ouut", "--out"),
    (report.main, ["runs", "--titel", "x"], "--titel", "--title"),
    (report.main, ["watch", "run", "--evry", "3"], "--evry", "--every"),
    (report.main, ["study", "--run", "a=b"], "--run", "--runs"),
    (viewer.main, ["a.jsonl", "--output_path", "x"], "--output_path", "--output"),
    (export.main, ["a.jsonl", "--too", "lm-eval"], "--too", "--to"),
    (checkpoint.main, ["export", "run", "--to", "x", "--stpe", "3"], "--stpe", "--step"),
    (analysis.main, ["dynamics", "--checkpoint", "a=b"], "--checkpoint", "--checkpoints"),
    (study.main, ["baseline", "--num_sample", "4"], "--num_sample", "--num_samples"),
]


@pytest.mark.parametrize(("main", "words", "wrong", "nearest"), MISTYPED)
def test_a_mistyped_option_is_one_line_with_the_nearest(main, words, wrong, nearest, capsys):
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert capsys.readouterr().err == f"error: There is no option {wrong}. Did you mean {nearest}?\n"


def one_parser():
    parser = CommandParser(prog="one", allow_abbrev=False)
    parser.add_argument("--number", type=int, required=True)
    parser.add_argument("words", nargs="*")
    return parser


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--frobnicate"], "There is no option --frobnicate. --help lists the options."),
        (["--numb", "3"], "There is no option --numb. Did you mean --number?"),
        (["--number", "x"], "argument --number: invalid int value: 'x'. --help lists the options."),
        ([], "the following arguments are required: --number. --help lists the options."),
    ],
)
def test_other_mistakes_are_one_line_too(words, line, capsys):
    with pytest.raises(SystemExit) as ended:
        one_parser().parse_args(words)
    assert ended.value.code == 2
    assert capsys.readouterr() == ("", f"error: {line}\n")


def test_words_that_only_look_like_options_are_values():
    assert one_parser().parse_args(["--number=-3", "--", "--a"]).words == ["--a"]
    assert one_parser().parse_args(["--number", "-3", "--a b"]).words == ["--a b"]
    short = CommandParser()
    short.add_argument("--number", type=int)
    assert short.parse_args(["--num", "3"]).number == 3


def test_an_option_of_another_subcommand_is_not_offered(capsys):
    parser = CommandParser()
    commands = parser.add_subparsers()
    commands.add_parser("one").add_argument("--number")
    commands.add_parser("two").add_argument("--word")
    with pytest.raises(SystemExit):
        parser.parse_args(["two", "--number", "3"])
    assert capsys.readouterr().err == "error: There is no option --number. --help lists the options.\n"
