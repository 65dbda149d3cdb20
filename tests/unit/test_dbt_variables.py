"""A changed variable makes all messages anew, or it does not decide what they say."""

import re

import yaml

from tests.processes import PROJECT

# Where the rows are: the fingerprint has the names of the relations themselves.
PLACES = {
    "retail_pro_source",
    "retail_pro_database",
    "retail_pro_customer_table",
    "retail_pro_document_table",
    "retail_pro_document_item_table",
}
# Part of the id of messages that are still to come, and not of what they say.
IDS = {"segment_namespace"}


def test_every_variable_is_in_the_fingerprint_or_says_nothing() -> None:
    project = yaml.safe_load((PROJECT / "dbt_project.yml").read_text(encoding="utf-8"))
    assert set(project["vars"]) == fingerprinted() | (PLACES & set(project["vars"]))


def test_every_variable_that_is_read_is_known() -> None:
    read: set[str] = set()
    for directory in ("macros", "dbt_project"):
        for path in (PROJECT / directory).rglob("*"):
            if path.suffix in {".sql", ".yml"}:
                text = path.read_text(encoding="utf-8")
                read |= set(re.findall(r"\bvar\(['\"](\w+)['\"]", text))
    assert read >= fingerprinted()
    assert read <= fingerprinted() | PLACES | IDS


def fingerprinted() -> set[str]:
    """The names in the macro fingerprinted_variables."""
    text = (PROJECT / "macros/increments/fingerprint.sql").read_text(encoding="utf-8")
    macro = text[text.index("{% macro fingerprinted_variables()") :]
    return set(re.findall(r"'(\w+)'", macro[: macro.index("endmacro")]))
