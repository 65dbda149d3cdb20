"""Imports in luigi_tasks point downwards, so that each part can be read without those above it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import luigi_tasks

PACKAGE = Path(luigi_tasks.__file__).parent

LAYERS = (
    "preview",
    "delivery",
    "segment",
    "build",
    "landing",
    "runs",
    "clickhouse",
)
"""The packages, from the top to the bottom. Modules beside them are commands, or BASE."""

BASE = {"config", "errors", "plain_text", "terminal"}
"""What everything may import."""


def imported(path: Path) -> Iterator[str]:
    """The parts of luigi_tasks that a module imports: packages, and modules beside them."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.ImportFrom) or node.module is None:
            continue
        if node.module == "luigi_tasks":
            yield from (name.name for name in node.names)
        elif node.module.startswith("luigi_tasks."):
            yield node.module.split(".")[1]


def test_every_package_has_a_layer() -> None:
    assert {path.parent.name for path in PACKAGE.glob("*/__init__.py")} == set(LAYERS)


def test_a_package_imports_only_what_lies_below_it() -> None:
    upwards = [
        f"{path.relative_to(PACKAGE)} imports {name}"
        for place, layer in enumerate(LAYERS)
        for path in sorted((PACKAGE / layer).rglob("*.py"))
        for name in imported(path)
        if name not in BASE and name not in LAYERS[place:]
    ]
    assert upwards == []


def test_what_everything_imports_imports_nothing_else() -> None:
    assert {name for module in BASE for name in imported(PACKAGE / f"{module}.py")} <= BASE
