"""Every exported column that an order is read from is a part of what it says, or is named here."""

import re

import pytest

from tests.processes import PROJECT

MACRO = PROJECT / "macros" / "increments" / "order_content.sql"
STAGING = PROJECT / "dbt_project" / "models" / "staging" / "retail_pro"

# Ids of the row, what tells versions apart, times, and the address, which is no part of what an
# order says: it goes out with the order and sends none.
LEFT_OUT = {
    "document": {
        *("SID", "BT_EMAIL", "CREATED_DATETIME", "INVC_POST_DATE"),
        *("MODIFIED_DATETIME", "POST_DATE", "ROW_VERSION"),
    },
    "document_item": {"SID", "DOC_SID", "MODIFIED_DATETIME", "POST_DATE", "ROW_VERSION"},
}


def names(text: str) -> set[str]:
    """The names of columns in a list of a macro."""
    return set(re.findall(r"'([A-Z_0-9]+)'", text))


@pytest.mark.parametrize("table", LEFT_OUT)
def test_columns_that_orders_are_read_from_make_a_change(table: str) -> None:
    macro = MACRO.read_text(encoding="utf-8")
    counted = names(macro.partition(f"'{table}': [")[2].partition("]")[0])
    model = (STAGING / f"stg_retail_pro__{table}s.sql").read_text(encoding="utf-8")
    read = names(model.partition("tidied([")[2].partition("])")[0])

    assert counted
    assert counted & LEFT_OUT[table] == set()
    assert read == counted | LEFT_OUT[table]
