"""Write the page: a single file, which asks for nothing and lets nothing in it run but its own script.

Answers are untrusted. They are compressed in blocks that no browser executes, the script puts them into text nodes alone,
and the page's policy allows one script and one style sheet by their hashes, and no request.
"""

import hashlib
from base64 import b64encode
from collections import Counter
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from verl_ext.host.command_line import shown
from verl_ext.host.files import replacing
from verl_ext.viewer import blocks
from verl_ext.viewer.answer_places import AnswerFile, Place, find_answers
from verl_ext.viewer.shown_answers import Answers, Columns, ShownProblem, read_file, text_of, verdict_of

SCRIPTS = ("blocks.js", "state.js", "text.js", "shade.js", "select.js", "problems.js", "cards.js", "view.js")
"""In this order they are one script."""
_FOLDER = Path(__file__).parent
_TITLE_CHARS = 90


@dataclass(frozen=True)
class Viewer:
    """A page that was written."""

    path: Path
    num_answers: int
    num_files: int
    num_bytes: int
    missing: Sequence[str]
    """What was asked for and is not there."""


def write_viewer(
    places: Sequence[Place],
    target: Path,
    *,
    title: str = "Answers",
    most: int | None = None,
    verdict: str | None = None,
) -> Viewer:
    """Write the page, whole or not at all.

    Args:
        places: Generations files, folders of them or of training runs, with what to call each.
        target: The HTML file.
        title: Its heading.
        most: How many answers of a problem are shown, the first of each file; None for all.
        verdict: Which of several verdicts counts, in files of other tools.

    Raises:
        ValueError: There is nothing to show, or a file is damaged.
    """
    found = find_answers(places)
    book = _Book()
    for file in found.files:
        book.add(file, read_file(file, most=most, verdict=verdict))
    with replacing(target) as unfinished, unfinished.open("w", encoding="utf-8") as page:
        _write(page, book, title, found.missing)
    return Viewer(target, book.num_answers, len(found.files), target.stat().st_size, found.missing)


def answer_link(
    page: str,
    run: str,
    *,
    step: int | None = None,
    question_id: str | None = None,
    generation_id: int | str | None = None,
) -> str:
    """The address of a file, a problem or an answer in ``page``."""
    asked = {"in": _set_key(run, step), "problem": question_id, "answer": generation_id}
    return f"{page}#{urlencode({name: value for name, value in asked.items() if value is not None}, errors='replace')}"


def _set_key(run: str, step: int | None) -> str:
    return run if step is None else f"{run}@{step}"


class _Book:
    """All files, packed: blocks of texts, and what is said of them at once."""

    def __init__(self) -> None:
        self.blocks: list[str] = []
        self.num_answers = 0
        self._sets: list[dict[str, Any]] = []
        self._numbers: dict[tuple[str, str, str], dict[int, None]] = {}
        """What names a problem, and the problems that it names, in order."""
        self._num_of_key: Counter[str] = Counter()
        self._problems: list[dict[str, Any]] = []
        self._given: list[str] = []
        """The text of each problem's prompt as a model was given it."""
        self._texts: list[dict[str, Any]] = []

    def _add_block(self, block: str) -> int:
        self.blocks.append(block)
        return len(self.blocks) - 1

    def add(self, file: AnswerFile, answers: Answers) -> None:
        columns, texts = Columns(), blocks.Chunks(self._add_block)
        for records in answers.records:
            for place, record in enumerate(records):
                columns.add(place, record)
                texts.put(text_of(record))
        texts.close()
        verdicts = [[verdict_of(record) for record in records] for records in answers.records]
        self.num_answers += sum(map(len, verdicts))
        self._sets.append(
            {
                "run": file.run,
                "step": file.step,
                "file": shown(file.path),
                "problems": self._numbers_of(answers.problems),
                "samples": list(map(len, verdicts)),
                "right": [each.count(1) for each in verdicts],
                "columns": self._add_block(blocks.pack(blocks.as_json(columns.as_json()))),
                "texts": texts.as_json(),
                "missing": answers.missing,
            }
        )

    def _numbers_of(self, problems: Sequence[ShownProblem]) -> list[int]:
        """Of a file's problems among those of all files."""
        found: dict[int, None] = {}
        for problem in problems:
            found[self._number_of(problem, found)] = None
        return list(found)

    def _number_of(self, problem: ShownProblem, taken: Container[int]) -> int:
        """The same where id and reference are, or the text of the prompt and the reference: a run's log has ids of its own.

        Two problems of one file are two, whatever their texts, and so are two that have an id and a reference in common and
        not the prompt: ids are often numbers, and of another task.
        """
        reference = blocks.as_json(problem.reference)
        names = [("id", problem.key, reference)] + ([("text", problem.text, reference)] if problem.text else [])
        found = [number for name in names for number in self._numbers.get(name, ())]
        same = [number for number in found if number not in taken and self._may_be(number, problem.text)]
        number = same[0] if same else self._new_problem(problem)
        for name in names:
            self._numbers.setdefault(name, {})[number] = None
        self._problems[number] = dict(problem.fields) | self._problems[number]
        self._given[number] = self._given[number] or problem.text
        if not self._texts[number]["prompt"]:
            self._texts[number]["prompt"] = problem.prompt
        return number

    def _may_be(self, number: int, text: str) -> bool:
        return not text or not self._given[number] or text == self._given[number]

    def _new_problem(self, problem: ShownProblem) -> int:
        self._num_of_key[problem.key] += 1
        again = self._num_of_key[problem.key]
        self._problems.append({"key": problem.key if again == 1 else f"{problem.key}~{again}"})
        self._given.append("")
        self._texts.append({"prompt": None, "reference": problem.reference})
        return len(self._problems) - 1

    def head(self, title: str, missing: Sequence[str]) -> dict[str, Any]:
        """What the page needs first."""
        prompts = blocks.Chunks(self._add_block)
        for problem, texts in zip(self._problems, self._texts, strict=True):
            problem["title"] = title_of(texts["prompt"])
            prompts.put(texts)
        prompts.close()
        return {
            "title": title,
            "sets": self._sets,
            "problems": self._problems,
            "prompts": prompts.as_json(),
            "missing": list(missing),
        }


def title_of(prompt: Any) -> str:
    """The beginning of a prompt, in one line: of the last thing that a user says."""
    if isinstance(prompt, list):
        said = [str(each.get("content")) for each in prompt if isinstance(each, Mapping) and each.get("role") == "user"]
        prompt = said[-1] if said else ""
    return " ".join(str(prompt or "")[: 4 * _TITLE_CHARS].split())[:_TITLE_CHARS]


def _write(page: TextIO, book: _Book, title: str, missing: Sequence[str]) -> None:
    script = "\n".join((_FOLDER / name).read_text(encoding="utf-8") for name in SCRIPTS)
    script = f'"use strict";\n(() => {{\n{script}}})();\n'
    style = (_FOLDER / "viewer.css").read_text(encoding="utf-8")
    head = blocks.pack(blocks.as_json(book.head(title, missing)))
    environment = Environment(
        loader=FileSystemLoader(_FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    page.write(
        environment.get_template("viewer.html.jinja").render(
            title=title.encode("utf-8", errors="replace").decode(),
            style=style,
            style_hash=_hash(style),
            script=script,
            script_hash=_hash(script),
            head=head,
            blocks="".join(blocks.elements(book.blocks)),
        )
    )


def _hash(text: str) -> str:
    """Of an inline script or style, for the page's policy."""
    return f"sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
