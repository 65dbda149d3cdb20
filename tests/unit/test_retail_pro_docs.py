"""docs/retail-pro.md names tests, columns, settings and codes that exist, and leaves none out."""

import csv
import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration import cases
from tests.processes import PROJECT

PAGE = (PROJECT / "docs" / "retail-pro.md").read_text(encoding="utf-8")
MODELS = PROJECT / "dbt_project" / "models"
CASES = range(1, 55)


def read_yaml(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text(encoding="utf-8")) or {}


def section(title: str) -> str:
    """The text of the page under a heading."""
    return PAGE.partition(f"## {title}\n")[2].partition("\n## ")[0]


def table(title: str) -> list[list[str]]:
    """The rows of the first table under a heading, without its head."""
    lines = [line for line in section(title).splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line[2:-2].split(" | ")] for line in lines[2:]]


def unit_tests() -> Iterator[str]:
    for path in MODELS.rglob("*.yml"):
        for test in read_yaml(path).get("unit_tests", []):
            yield test["name"]


def pytests() -> Iterator[str]:
    for path in (PROJECT / "tests").rglob("test_*.py"):
        yield from re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)


def odd_rows() -> Iterator[str]:
    for module in pkgutil.iter_modules(cases.__path__, f"{cases.__name__}."):
        for case in getattr(importlib.import_module(module.name), "CASES", []):
            yield case.name


def seed(name: str) -> list[list[str]]:
    path = PROJECT / "seeds" / "reference" / f"{name}.csv"
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file, strict=True))[1:]


def test_every_case_names_tests_that_exist() -> None:
    known = {*unit_tests(), *pytests()}
    rows = table("The cases")
    assert [int(row[0]) for row in rows] == list(CASES)
    for number, *_, tests in rows:
        named = re.findall(r"`(\w+)`", tests)
        assert named, f"case {number} names no test"
        assert set(named) <= known, f"case {number}: {set(named) - known}"


def test_more_cases_name_tests_that_exist() -> None:
    known = {*unit_tests(), *pytests(), *odd_rows()}
    for case, done, tests in table("More cases"):
        named = re.findall(r"`(\w+)`", tests)
        assert named, f"{case} names no test"
        assert done
        assert set(named) <= known, f"{case}: {set(named) - known}"


def test_every_test_of_a_case_is_named() -> None:
    tests_of = {int(row[0]): row[-1] for row in table("The cases")}
    for test in {*unit_tests(), *pytests()}:
        for number in re.findall(r"case_(\d+)", test):
            assert f"`{test}`" in tests_of[int(number)], f"{test} is missing at case {number}"


def test_every_fallback_is_named_as_the_dictionary_has_it() -> None:
    source = read_yaml(MODELS / "staging/retail_pro/_retail_pro__sources.yml")["sources"][0]
    stated = [
        [f"{entry['name']}.{column['name']}", column["config"]["meta"]["without"]]
        for entry in source["tables"]
        for column in entry["columns"]
        if "without" in column.get("config", {}).get("meta", {})
    ]
    assert stated
    assert table("Columns that an export may lack") == stated


def test_every_variable_is_described() -> None:
    variables = read_yaml(PROJECT / "dbt_project.yml")["vars"]
    described = {name for row in table("Settings") for name in re.findall(r"`(\w+)`", row[0])}
    assert described == set(variables)


@pytest.mark.parametrize(
    ("title", "codes"),
    [
        ("Codes of rows that are held", "failure_reasons"),
        ("Codes of warnings", "warning_reasons"),
    ],
)
def test_every_code_is_described_as_in_its_seed(title: str, codes: str) -> None:
    assert table(title) == [[f"`{code}`", message] for code, message in seed(codes)]


def test_integrity_tests_are_named() -> None:
    named = set(re.findall(r"^\| `(\w+)` \|", section("Accounting"), re.MULTILINE))
    for path in (PROJECT / "tests" / "dbt" / "integrity").glob("*agree*.sql"):
        assert path.stem in named
