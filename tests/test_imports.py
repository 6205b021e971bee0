"""Imports run downward: a package builds on what stands below it in ``LAYERS``, and only some of them need verl or torch."""

import ast
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CODE = runpy.run_path(str(ROOT / "scripts/code_table.py"))
upward_imports, engine_imports, height = CODE["upward_imports"], CODE["engine_imports"], CODE["height"]


def shown(found):
    return [f"{one.importer}:{one.line} imports {one.imported}" for one in found]


def test_no_import_runs_upward():
    assert shown(upward_imports(ROOT)) == []


def test_engines_are_imported_where_they_belong():
    assert shown(engine_imports(ROOT)) == []


def test_every_layer_has_modules():
    heights = {height(name) for name in CODE["modules"](ROOT) if name != "verl_ext"}
    assert [layer.name for index, layer in enumerate(CODE["LAYERS"]) if index not in heights] == []


@pytest.fixture
def tree(tmp_path):
    """A package whose grading imports upward and torch, at the top and inside a function."""
    for name, text in {
        "grading/rules.py": "import torch\n\n\ndef late():\n    from verl_ext.training import device\n    import verl.utils\n",
        "training/device.py": '"""Text."""\nfrom verl_ext.grading import (\n    rules,\n)\n\n# a comment\ndef g(): ...\n',
        "cpu/engine.py": "from verl_ext.files import x\nimport torch\n",
        "grading/__init__.py": "from verl_ext.grading.entrance import grade\n",
        "tasks/table.py": "from verl_ext.grading import grade\n",
    }.items():
        path = tmp_path / "verl_ext" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_what_is_found(tree):
    assert shown(upward_imports(tree)) == [
        "verl_ext.grading.rules:5 imports verl_ext.training.device",
        "verl_ext.tasks.table:1 imports verl_ext.grading.grade",
    ]
    assert shown(engine_imports(tree)) == [
        "verl_ext.grading.rules:1 imports torch",
        "verl_ext.grading.rules:6 imports verl.utils",
    ]
    with pytest.raises(ValueError, match="verl_ext.new.room belongs to no layer"):
        height("verl_ext.new.room")


def test_the_table(tree):
    text = CODE["page"](tree)
    assert "| imports that run upward | 2 |" in text
    assert "| training | 1 | 7 | 4 |" in text
    assert CODE["num_code_lines"]('def f():\n    """Doc."""\n\n    return """a\n    b"""  # why\n') == 3


def test_no_two_modules_and_no_two_types_have_one_name():
    places = {}
    for module, path in CODE["modules"](ROOT).items():
        types = [
            node.name for node in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(node, ast.ClassDef)
        ]
        for name in (module.rpartition(".")[2], *types):
            places.setdefault(name, []).append(module)
    del places["__main__"]  # Python's name for what python -m PACKAGE runs
    assert {name: modules for name, modules in places.items() if len(modules) > 1} == {}
