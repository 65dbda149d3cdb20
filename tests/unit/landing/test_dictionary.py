"""The data dictionary, as the loader reads it."""

from pathlib import Path

import pytest

from luigi_tasks.errors import ConfigurationError
from luigi_tasks.landing import dictionary
from luigi_tasks.landing.tables import create_table_sql
from tests.processes import PROJECT


def test_the_tables_of_an_export_are_those_with_a_key() -> None:
    tables = {table.name: table for table in dictionary.load(PROJECT)}
    assert list(tables) == ["customer", "document", "document_item"]
    assert tables["customer"].keys == ("SID",)
    assert tables["document_item"].keys == ("SID", "DOC_SID")
    assert tables["document_item"].file_name == "document_item.csv"


def test_technical_columns_are_not_columns_of_the_export() -> None:
    for table in dictionary.load(PROJECT):
        assert not [name for name in table.columns if name.startswith("_")]
        assert set(dictionary.TECHNICAL_COLUMNS) <= set(table.column_types())


def test_optional_columns_are_known_by_their_description() -> None:
    document = dictionary.load(PROJECT)[1]
    assert "STATUS" in document.optional
    assert "CURRENCY_NAME" not in document.optional


def test_a_landing_table_holds_text_as_exported() -> None:
    sql = create_table_sql(dictionary.load(PROJECT)[0])
    assert "`SID` String default ''" in sql
    assert "`_extra` Map(String, String)" in sql
    assert "order by (_loaded_at, SID)" in sql


def test_a_missing_dictionary_says_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"_retail_pro__sources\.yml.*DBT_PROJECT_DIR"):
        dictionary.load(tmp_path)


@pytest.mark.parametrize("text", ["", "sources: [", "sources: []", "sources: [{tables: [{}]}]"])
def test_a_broken_dictionary_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / dictionary.DICTIONARY
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(ConfigurationError, match="is not a dbt source file"):
        dictionary.load(tmp_path)
