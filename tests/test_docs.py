"""What a page says is there: links, paths, modules, options, variables, flags, objectives and metrics."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

from verl_ext.grading import Reason
from verl_ext.objectives.algorithm_options import AlgorithmOptions
from verl_ext.objectives.catalog import OBJECTIVES, drops_zero_advantage
from verl_ext.objectives.objective import AnotherName, Objective, SignWeights
from verl_ext.tasks.table import TASKS
from verl_ext.training.configuration import DEVICES, GROUPS, kinds_of_options, option_names
from verl_ext.training.configuration import _default as default_config
from verl_ext.training.step import arrivals, step_report

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "recipes/README.md", *ROOT.glob("docs/*.md")])
CODE_FOLDERS = (
    "verl_ext",
    "scripts",
    "recipes",
    "eval",
    "benchmarks",
    "tests",
    "requirements",
    "docs",
    "studies",
    ".ci",
)
SECTIONS = ("algorithm", "actor_rollout_ref", "critic", "data", "trainer", "reward", "ray_kwargs", "transfer_queue")


def page_id(page: Path) -> str:
    return str(page.relative_to(ROOT))


each_page = pytest.mark.parametrize("page", PAGES, ids=page_id)


# ---------------------------------------------------------------------- reading pages


def prose(page: Path) -> str:
    """A page without its blocks of commands."""
    return re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)


def spans(page: Path) -> list[str]:
    """What stands between backticks in a page's sentences."""
    return re.findall(r"`([^`\n]+)`", prose(page))


def commands(page: Path) -> list[str]:
    """The commands of a page's blocks, a line each, without their comments."""
    blocks = re.findall(r"^```bash\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    text = "\n".join(blocks).replace("\\\n", " ")
    return [line for raw in text.splitlines() if (line := re.sub(r"(^|\s)#.*", "", raw).strip())]


def words(page: Path) -> Iterator[str]:
    """Every word of a page that is code: of the spans and of the commands, but for names that a reader gives runs."""
    for text in [*spans(page), *commands(page)]:
        text = re.sub(r"(--runs|--checkpoints|--answers)( [a-z][\w-]*=\S+)+", r"\1", text)
        yield from (word.strip("'\"[](),;:") for word in text.split())


def anchors(page: Path) -> list[str]:
    """The anchors that GitHub gives the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", prose(page), flags=re.M)
    return [re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings]


@cache
def files() -> list[Path]:
    """Everything in the checkout that is no output."""
    inside = [path for folder in CODE_FOLDERS for path in (ROOT / folder).rglob("*") if path.is_file()]
    return [*inside, *(path for path in ROOT.iterdir() if path.is_file())]


@cache
def sources() -> str:
    """The text of the repository's code and settings."""
    kinds = (".py", ".sh", ".yaml", ".toml", ".txt", ".jinja")
    own = Path(__file__)
    return "\n".join(path.read_text(encoding="utf-8") for path in files() if path.suffix in kinds and path != own)


# ---------------------------------------------------------------------- links and paths


@each_page
def test_links_lead_somewhere(page):
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"https?://", target):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(target)
    assert broken == []


def is_missing(path: str) -> bool:
    """Whether a path, or the name of a script or configuration file, is not in the checkout."""
    folder, _, rest = path.partition("/")
    if rest:
        return folder in CODE_FOLDERS and not re.search(r"[<${]", path) and not list(ROOT.glob(path.rstrip("/")))
    return bool(re.fullmatch(r"[\w.-]+\.(py|sh|yaml|toml)", path)) and path not in {file.name for file in files()}


@each_page
def test_paths_exist(page):
    paths = {word.partition("=")[2] if "=" in word else word for word in words(page)}
    assert sorted(path for path in paths if is_missing(path)) == []


def test_docs_has_a_line_for_every_page():
    listed = re.findall(r"\]\(([\w-]+\.md)\)", (ROOT / "docs/README.md").read_text(encoding="utf-8"))
    assert sorted(listed) == sorted(page.name for page in ROOT.glob("docs/*.md") if page.name != "README.md")


# ---------------------------------------------------------------------- names of code


def defined_names(tree: ast.Module) -> set[str]:
    """What a module defines or imports, and the members of its classes as Class.member."""
    names = set()

    def add(body: list[ast.stmt], prefix: str) -> None:
        for node in body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                names.add(prefix + node.name)
                if isinstance(node, ast.ClassDef):
                    add(node.body, f"{prefix}{node.name}.")
            elif isinstance(node, ast.Import | ast.ImportFrom):
                names.update(prefix + (alias.asname or alias.name) for alias in node.names)
            elif isinstance(
                node, ast.If
            ):  # names for the type checker, which the module resolves when they are asked for
                add(node.body, prefix)
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                names.update(prefix + each.id for each in targets if isinstance(each, ast.Name))

    add(tree.body, "")
    return names


def is_ours(name: str) -> bool:
    """Whether ``verl_ext.a.b.c`` is a package, a module, or something that a module defines."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        path = ROOT.joinpath(*parts[:length])
        file = path.with_suffix(".py") if path.with_suffix(".py").is_file() else path / "__init__.py"
        if file.is_file():
            rest = ".".join(parts[length:])
            return not rest or rest in defined_names(ast.parse(file.read_text(encoding="utf-8")))
    return False


@each_page
def test_modules_and_what_they_define_exist(page):
    names = {name.rstrip(".") for word in words(page) for name in re.findall(r"\bverl_ext(?:\.\w+)+", word)}
    assert [name for name in sorted(names) if not is_ours(name)] == []


@each_page
def test_names_are_in_the_code(page):
    """A name in a sentence, such as `min_group_size` or `LAYERS`, is a word of the code."""
    names = {
        span.removesuffix("()")
        for span in spans(page)
        if re.fullmatch(r"[A-Za-z_]\w*(\(\))?", span) and ("_" in span or not span.islower() or span.endswith("()"))
    }
    known = set(re.findall(r"\w+", sources()))
    assert sorted(names - known) == []


# ---------------------------------------------------------------------- options, variables, flags


@cache
def known_options() -> frozenset[str]:
    names = [name for device in DEVICES for name in (*kinds_of_options(device), *option_names(default_config(device)))]
    return frozenset([*GROUPS, *names])


@each_page
def test_options_exist(page):
    unknown = []
    for word in words(page):
        name = word.partition("=")[0].lstrip("+.").rstrip(".,*")
        if re.match(rf"({'|'.join(SECTIONS)})\.[a-z]", name) and name.rpartition(".")[2] not in ("json", "jsonl"):
            if name not in known_options():
                unknown.append(word)
        elif "=" in word and re.fullmatch(r"[a-z]\w*", name):
            last = {option.rpartition(".")[2] for option in known_options()}
            if name not in last:
                unknown.append(word)
    assert unknown == []


@each_page
def test_variables_are_read(page):
    """VERL_EXT_... and the knobs of recipes and scripts."""
    text = sources()
    names = {name for word in words(page) for name in re.findall(r"^([A-Z][A-Z_]{2,})(?:=|$)", word)}
    placeholders = {"MODEL", "TRAIN", "VAL", "FILE", "FOLDER", "DIR", "SITE", "PSR", "NSR", "MATH", "FIRST_NODE"}
    unread = [name for name in sorted(names - placeholders) if not re.search(rf"\b{name}\b", text)]
    assert unread == []


@cache
def help_of(script: str, *subcommand: str) -> str:
    """A command's own text and, of Python, what its --help prints."""
    is_module = not script.endswith((".py", ".sh"))
    file = ROOT / (script.replace(".", "/") + ".py" if is_module else script)
    text = (file if file.exists() else file.with_suffix("") / "__main__.py").read_text(encoding="utf-8")
    if script.endswith(".sh"):
        return text
    command = [sys.executable, *(["-m"] if is_module else []), script, *subcommand, "--help"]
    return text + subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def flags_of(command: str) -> tuple[str, tuple[str, ...], list[str]] | None:
    """Script, subcommand and flags of a command that starts a script of this repository; None for any other."""
    found = re.search(r"(?:python|bash) (?:-m (verl_ext[\w.]+)|((?:[\w.-]+/)?[\w.-]+\.(?:py|sh)))(.*)", command)
    if found is None:
        return None
    script, rest = found[1] or found[2], found[3].partition(" > ")[0].split(" -- ")[0].split()
    with_subcommands = ("scripts/prepare_data.py", "verl_ext.doctor")
    subcommand = (
        (rest[0],) if script in with_subcommands and rest and rest[0].isidentifier() and rest[0].islower() else ()
    )
    return script, subcommand, [flag for word in rest for flag in re.findall(r"^--[\w-]+", word)]


@each_page
def test_flags_of_commands_exist(page):
    unknown = []
    for command in [*commands(page), *spans(page)]:
        for part in command.split("&&"):
            parsed = flags_of(part)
            if parsed is None or not (parsed[0].startswith("verl_ext") or (ROOT / parsed[0]).is_file()):
                continue
            script, subcommand, flags = parsed
            if flags:
                text = help_of(script, *subcommand)
                if script == "scripts/quickstart.sh":
                    text += help_of("scripts/quickstart.py")
                unknown += [(part, flag) for flag in flags if not re.search(rf"(--|\b){flag[2:]}\b", text)]
    assert unknown == []


@each_page
def test_flags_in_sentences_exist(page):
    flags = {flag for span in spans(page) for flag in re.findall(r"^--[a-z_]+", span)}
    known = set(re.findall(r"--[a-z_]+", sources()))
    assert sorted(flags - known) == []


# ---------------------------------------------------------------------- objectives and tasks


def table_after(page: Path, heading: str) -> dict[str, list[str]]:
    """The rows of the first table below a heading (or a text): name in the first cell -> the other cells."""
    text = page.read_text(encoding="utf-8").partition(heading)[2]
    found = re.search(r"(?:^\|.*\n)+", text, flags=re.M)
    assert found is not None
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in found[0].splitlines()[2:]]
    return {name: rest for first, *rest in rows for name in re.findall(r"`([^`]+)`", first)}


def catalogue() -> dict[str, dict[str, str]]:
    """Name of an objective -> what its section in docs/objectives.md says under each bold word."""
    text = (ROOT / "docs/objectives.md").read_text(encoding="utf-8")
    sections = re.findall(r"^## ([a-z_]+)\n(.*?)(?=^## )", text, flags=re.M | re.S)
    return {
        name: {
            word.lower(): said
            for word, said in re.findall(r"^- \*\*([^:*]+):?\*\*(.*?)(?=^- |\Z)", body, flags=re.M | re.S)
        }
        for name, body in sections
    }


def rows_behind(row: Objective) -> list[Objective]:
    """The row, and those that it is another name of."""
    others = row.formula.of_advantage.values() if isinstance(row.formula, AnotherName) else ()
    return [row, *(OBJECTIVES[name] for name in others)]


def test_the_catalogue_has_every_objective_and_no_other():
    assert list(catalogue()) == list(OBJECTIVES)
    assert list(table_after(ROOT / "docs/objectives.md", "**Group size.**")) == list(OBJECTIVES)


@pytest.mark.parametrize("row", OBJECTIVES.values(), ids=list(OBJECTIVES))
def test_the_catalogue_says_what_the_table_says(row):
    section = catalogue()[row.name]
    assert set(section) == {"formula", "paper", "options", "group size", "filter", "use it when", "watch"}
    assert row.paper is None or f"https://arxiv.org/abs/{row.paper}" in section["paper"]
    behind = rows_behind(row)
    options = {
        "algorithm.advantage": len(behind) > 1,
        "algorithm.positive_advantage_weight": any(one.has_lambda for one in behind),
        "algorithm.pass_at_k": row.has_k,
    }
    assert {option: f"`{option}`" in section["options"] for option in options} == options
    choices = row.formula.of_advantage if isinstance(row.formula, AnotherName) else {}
    is_on = {}
    for value in choices or [None]:
        chosen = AlgorithmOptions.read({"adv_estimator": row.name, "advantage": value, "pass_at_k": 2})
        is_on[value] = drops_zero_advantage(chosen)
    assert section["filter"].split(maxsplit=1)[0].strip(";.") == ("on" if any(is_on.values()) else "off")
    assert all(f"`{value}`" in section["filter"] for value in choices)
    assert "at least k" in section["group size"] if row.has_k else "k" not in section["group size"]


def test_the_overview_has_the_weights():
    overview = table_after(ROOT / "docs/objectives.md", "**Group size.**")
    for row in OBJECTIVES.values():
        if isinstance(row.formula, SignWeights):
            positive = "λ" if row.has_lambda else f"{row.formula.positive:g}"
            negative = f"−{row.formula.negative:g}" if row.formula.negative else "0"
            assert overview[row.name][:2] == [positive, negative]
        assert overview[row.name][2] == ("k" if row.has_k else "1")
        if not isinstance(row.formula, AnotherName):
            assert overview[row.name][3] == ("on" if row.ignores_one_sign else "off")


def test_every_task_is_listed_with_its_rows():
    listed = table_after(ROOT / "docs/data-and-tasks.md", "`report.json`")
    assert sorted(listed) == sorted(TASKS)
    for task in TASKS.values():
        numbers = [f"{number:,}" for number in task.num_rows.values() if number is not None]
        assert all(number in listed[task.data_source][1] for number in numbers), task.data_source


def test_every_reason_of_a_verdict_is_explained():
    assert list(table_after(ROOT / "docs/grading.md", "# Grading")) == list(Reason)


# ---------------------------------------------------------------------- metrics

BY_NAME = {"train/reason/*", "guardrails/*"}
"""Metrics whose last part is that of another table."""
READERS = ("verl_ext/training/console.py", "verl_ext/plots", "verl_ext/report", "verl_ext/analysis")
"""What only reads metrics."""


def as_pattern(node: ast.expr | None) -> str | None:
    """A string as it is written, ``*`` for what is put in; None for no string."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "*" for part in node.values)
    return None


@cache
def emitted() -> set[str]:
    """Names of metrics that the code writes into a dictionary, ``*`` for the parts that vary."""
    names = set()
    for path in (ROOT / "verl_ext").rglob("*.py"):
        if str(path.relative_to(ROOT)).startswith(READERS):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            keys: list[ast.expr | None] = []
            if isinstance(node, ast.Dict):
                keys = list(node.keys)
            elif isinstance(node, ast.DictComp):
                keys = [node.key]
            elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
                keys = [node.slice]
            names |= {name for key in keys if (name := as_pattern(key))}
    return {name for name in names if re.match(r"(train|actor|guardrails|val-(core|aux|\*)|training|perf)/", name)}


def described() -> set[str]:
    """Names of metrics in the glossary, ``*`` for the parts that vary."""
    text = re.sub(r"^#.*", "", prose(ROOT / "docs/metrics.md"), flags=re.M)
    names = {re.sub(r"<[^>]*>", "*", name) for name in re.findall(r"`((?:train|[a-z_-]+)/[^`]*)`", text)}
    return {name for name in names if not name.endswith("/*") and name != "train/"}


def fits(name: str, pattern: str) -> bool:
    return bool(re.fullmatch(re.escape(pattern).replace(r"\*", ".+"), name))


def test_every_metric_of_ours_is_in_the_glossary():
    assert len(emitted()) > 20
    wanted = {*emitted(), *(f"train/reason/{reason}" for reason in Reason)} - BY_NAME
    assert sorted(name for name in wanted if not any(fits(other, name) for other in described())) == []


def test_what_the_report_of_a_step_returns_is_in_the_glossary():
    shares = {f"actor/{kind}_{sign}": 0.5 for kind in ("tokens", "clipped") for sign in ("positive", "negative")}
    counts = step_report.Counts(kept=1, all=2)
    returned = {
        **step_report.group_shares(["a", "a"], [True, False]),
        **step_report.reason_shares([dict.fromkeys(map(str, Reason), 0.0)]),
        **step_report.kept_shares(counts, counts),
        **step_report.clip_fractions(shares),
        **arrivals.count_missing(["a_0_0"], failed=[], num_submitted={}, default_num_samples=1, num_replaced=0),
    }
    assert len(returned) > 15
    assert sorted(returned.keys() - described()) == []


def test_the_glossary_names_only_what_is_logged():
    """Of ours what the code emits, of verl's what its code says."""
    spec = find_spec("verl")
    assert spec is not None
    assert spec.submodule_search_locations
    folders = [Path(spec.submodule_search_locations[0]) / name for name in ("trainer/ppo", "workers", "utils")]
    verl = "\n".join(path.read_text(encoding="utf-8") for folder in folders for path in folder.rglob("*.py"))

    def is_verls(name: str) -> bool:
        # verl puts actor/ or timing_s/ in front of many names in another place than the name is in.
        last = re.escape(name.rpartition("/")[2])
        return not name.startswith("train/") and re.search(rf"""["'/]{last}["']""", verl) is not None

    ours = {*emitted(), *(f"train/reason/{reason}" for reason in Reason)} - BY_NAME
    unknown = [name for name in described() if not any(fits(name, pattern) for pattern in ours) and not is_verls(name)]
    assert sorted(unknown) == []
