"""Which columns an export must have: what is refused, and what the refusal says."""

from pathlib import Path

import pytest

from luigi_tasks.errors import ConfigurationError
from luigi_tasks.landing import dictionary, export_columns
from luigi_tasks.landing.dictionary import Table
from luigi_tasks.landing.export_columns import VARIABLE, Columns, hints, refuse_missing
from luigi_tasks.landing.export_file import ExportRefusedError
from tests.processes import PROJECT

TABLES = dictionary.load(PROJECT)
CUSTOMER, DOCUMENT, ITEM = TABLES
REQUIRED = {
    table: [name for name in table.columns if name not in table.optional] for table in TABLES
}


@pytest.fixture(autouse=True)
def _no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)


def columns(table: Table, last: tuple[str, ...] = (), **renamed: str) -> Columns:
    """A file with the well-known columns, of which some have another name, or none."""
    names = (renamed.get(name, name) for name in REQUIRED[table])
    return Columns(f"/export/{table.file_name}", table, tuple(filter(None, names)), last)


def refusal(*found: Columns) -> str:
    with pytest.raises(ExportRefusedError) as caught:
        refuse_missing(found, TABLES)
    return str(caught.value)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_the_well_known_columns_are_enough(table: Table) -> None:
    refuse_missing([columns(table)], TABLES)


@pytest.mark.parametrize(
    ("table", "missing"), [(table, name) for table in TABLES for name in REQUIRED[table]]
)
def test_each_well_known_column_is_missed(table: Table, missing: str) -> None:
    message = refusal(columns(table, **{missing: ""}))
    assert f"/export/{table.file_name} has no column {missing}." in message
    assert message.endswith(f"\nabsent_columns={table.name}.{missing}")


def test_names_are_matched_without_regard_to_case() -> None:
    names = tuple(name.lower() for name in columns(DOCUMENT).names)
    refuse_missing([Columns("document.csv", DOCUMENT, names)], TABLES)


def test_a_renamed_column_is_recognised() -> None:
    message = refusal(
        columns(
            DOCUMENT,
            CURRENCY_NAME="CURRENCY",
            BT_CUID="BT_CUST",
            SALE_TOTAL_TAX_AMT="Sale Total Tax",
            DOC_NO="RECEIPT",
        )
    )
    assert "has no column DOC_NO, BT_CUID, SALE_TOTAL_TAX_AMT, CURRENCY_NAME." in message
    assert "CURRENCY: did you mean CURRENCY_NAME?" in message
    assert "BT_CUST: did you mean BT_CUID?" in message
    assert "Sale Total Tax: did you mean SALE_TOTAL_TAX_AMT?" in message
    assert "RECEIPT\n" in message, "no column is like it"


def test_unknown_columns_alone_refuse_nothing() -> None:
    found = columns(ITEM)
    extra = Columns(found.place, ITEM, (*found.names, "UDF1", "ITEM_TYP"))
    refuse_missing([extra], TABLES)
    assert hints(extra) == [f"{found.place}: ITEM_TYP is not known; did you mean ITEM_TYPE?"]


def test_names_of_somebody_else_are_not_shown_when_they_are_no_names() -> None:
    found = columns(ITEM, QTY="\x1b[2J", PRICE="")
    assert "not known" not in refusal(found)


def test_an_optional_column_that_the_last_load_had_is_missed() -> None:
    last = ("sid", "doc_sid", "item_type", "UDF1")
    message = refusal(columns(ITEM, last))
    assert "has no column ITEM_TYPE. It had ITEM_TYPE before." in message
    assert message.endswith("absent_columns=document_item.ITEM_TYPE")


def test_all_files_are_named_and_one_line_accepts_them_all(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [
        columns(CUSTOMER, LTY_BALANCE=""),
        columns(ITEM, ("ITEM_TYPE",), ATTRIBUTE="", ITEM_SIZE=""),
    ]
    monkeypatch.setenv(VARIABLE, "document_item.item_size")
    message = refusal(*found)
    assert "/export/customer.csv has no column LTY_BALANCE." in message
    assert "/export/document_item.csv has no column ATTRIBUTE, ITEM_TYPE." in message
    setting = message.rpartition("\n")[2]
    assert setting == (
        f"{VARIABLE}=customer.LTY_BALANCE,document_item.ITEM_SIZE,document_item.ATTRIBUTE,"
        "document_item.ITEM_TYPE"
    )
    monkeypatch.setenv(VARIABLE, setting.partition("=")[2])
    refuse_missing(found, TABLES)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("document.SHIP_METHD", "did you mean document.SHIP_METHOD?"),
        ("SHIP_METHOD", "A column is written with its table: document.SHIP_METHOD."),
        ("customer.SID", "customer.SID, which every row must have"),
    ],
)
def test_a_setting_that_names_no_column_is_refused(
    setting: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, setting)
    with pytest.raises(ConfigurationError) as caught:
        export_columns.absent(TABLES)
    assert said in str(caught.value)


class Note(dict[str, str]):
    """Stands for the marker with the columns of the last build."""

    def __call__(self, *_: object, **__: object) -> "Note":
        """Make the marker, of which there is one."""
        return self

    def read(self) -> dict[str, str]:
        """Its details."""
        return dict(self)

    def touch(self, **columns: str) -> None:
        """Write it."""
        self.clear()
        self.update(columns)


@pytest.fixture
def note(monkeypatch: pytest.MonkeyPatch) -> Note:
    note = Note()
    monkeypatch.setattr(export_columns, "MarkerTarget", note)
    return note


def test_an_optional_column_that_another_pipeline_no_longer_fills_is_refused(
    note: Note, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [("document", name, "String") for name in (*REQUIRED[DOCUMENT], "FEE_NAME", "IS_HELD")]
    monkeypatch.setattr(export_columns.clickhouse, "read", lambda *_: rows)
    environment = {"RETAIL_PRO_SOURCE": "landing", "RETAIL_PRO_DATABASE": "own"}
    columns = export_columns.check_tables(environment)
    assert not note, "a build that fails is none"
    export_columns.remember(columns)

    rows.pop()
    with pytest.raises(ExportRefusedError) as caught:
        export_columns.check_tables(environment)
    said = "The table own.document has no column IS_HELD. It had IS_HELD before."
    assert str(caught.value).startswith(said)

    monkeypatch.setenv(VARIABLE, "document.IS_HELD")
    export_columns.remember(export_columns.check_tables(environment))
    monkeypatch.delenv(VARIABLE)
    export_columns.check_tables(environment)


@pytest.mark.usefixtures("note")
@pytest.mark.parametrize(("source", "is_refused"), [("landing", True), ("seeds", False)])
def test_tables_of_another_pipeline_are_checked_before_the_build(
    source: str, is_refused: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / dictionary.DICTIONARY.parent).mkdir(parents=True)
    (tmp_path / dictionary.DICTIONARY).write_text((PROJECT / dictionary.DICTIONARY).read_text())
    (tmp_path / "dbt_project.yml").write_text(
        "name: shop\nvars:\n  retail_pro_customer_table: clients\n"
        "  shop: {retail_pro_database: crm, retail_pro_document_table: receipts}\n"
    )
    rows = [("clients", name.lower(), "String") for name in REQUIRED[CUSTOMER]]
    rows += [("receipts", name, "String") for name in REQUIRED[DOCUMENT] if name != "BT_CUID"]
    asked = []

    def read(_: str, __: str, parameters: dict[str, str]) -> list[tuple[str, str, str]]:
        asked.append(parameters)
        return rows

    monkeypatch.setenv("DBT_PROJECT_DIR", str(tmp_path))
    monkeypatch.setattr(export_columns.clickhouse, "read", read)
    environment = {"RETAIL_PRO_SOURCE": source, "RETAIL_PRO_DATABASE": "retail_pro"}
    if not is_refused:
        export_columns.check_tables(environment)
        assert asked == []
        return
    with pytest.raises(ExportRefusedError) as caught:
        export_columns.check_tables(environment)
    assert str(caught.value).startswith("The table crm.receipts has no column BT_CUID.")
    assert asked == [{"database": "crm"}]
