"""Arguments of the operations: of the right type, or refused with what to write instead."""

import datetime
import re
from typing import Any

import pytest

from tests.processes import PROJECT
from tests.unit.dbt_macros import RefusedError, load


class RanError(Exception):
    """The operation went on to the database."""


def run_query(sql: str) -> None:
    raise RanError(sql)


MACROS = load(
    "operations",
    run_query=run_query,
    target={"schema": "retail"},
    print=print,
    invocation_id="a" * 32,
    enqueued=lambda *arguments: "select 1",
    body_of=lambda message: message,
    without_sales=lambda *arguments: "''",
    clickhouse_on_cluster=lambda: "",
    event_columns=lambda: "*",
    refuse_purge_under_a_wrong_clock=lambda: run_query("select now()"),
)
RANGE = "call, entity_id, since, until, everything"


def refusal(operation: str, arguments: dict[str, Any]) -> str:
    with pytest.raises(RefusedError) as caught:
        MACROS[operation](**arguments)
    message = str(caught.value)
    assert message.startswith(f"{operation}: ")
    return message


@pytest.mark.parametrize(
    ("operation", "arguments", "said"),
    [
        ("requeue", {"call": "track", "everything": "false"}, "everything is 'false'. Write true"),
        ("requeue", {"call": "track", "everything": "true"}, "without quotation marks"),
        ("requeue", {"call": "track", "everything": 0}, "everything is '0'"),
        ("requeue", {"call": "track", "everything": 1}, "everything is '1'"),
        ("withdraw", {"call": "track", "note": "x", "everything": "no"}, "everything is 'no'"),
        ("restore_events", {"give_up_purged": "false"}, "give_up_purged is 'false'"),
        ("reconcile", {"lost_ledger": "keep"}, "Set it to settle or send"),
        ("reconcile", {"lost_ledger": True}, "lost_ledger is 'True'"),
        ("reconcile", {"repair": "false"}, "repair is 'false'. Write true or false"),
        ("requeue", {"call": "track", "entity_id": 42}, 'quotation marks: entity_id: "..."'),
        ("requeue", {"call": "track", "entity_id": ["4"]}, "entity_id is '['4']'"),
        (
            "requeue",
            {"call": "track", "entity_id": "", "since": "2026-11-01"},
            "entity_id is empty",
        ),
        ("requeue", {"call": "track", "since": datetime.date(2026, 11, 1)}, 'since: "..."'),
        ("withdraw", {"call": "track", "note": True, "everything": True}, "note is 'True'"),
        ("withdraw", {"call": "track", "everything": True}, "note is missing"),
        ("withdraw", {"call": "track", "note": " ", "everything": True}, "note is empty"),
        ("requeue", {"everything": True}, "call is missing"),
        ("requeue", {"call": "track", "everthing": True}, f"everthing. There are: {RANGE}."),
        ("retry_rejected", {"code": "http_400"}, "code. There are: call, error_code."),
        ("retry_rejected", {"error_code": 400}, "error_code is '400'"),
        (
            "resolve",
            {"entity_type": "order", "entity_id": 7, "error_code": "x"},
            "entity_id is '7'",
        ),
        ("resolve", {"entity_type": "order", "entity_id": "7"}, "error_code is missing"),
        ("purge_ledger", {"older_than_days": "400"}, "Write a whole number, without quotation"),
        ("purge_ledger", {"older_than_days": 400.5}, "older_than_days is '400.5'"),
        ("purge_ledger", {"older_than_days": True}, "older_than_days is 'True'"),
        ("purge_ledger", {"older_than_days": 30}, "Set it to 31 or more"),
        ("purge_ledger", {}, "older_than_days is missing"),
    ],
)
def test_an_argument_that_cannot_be_meant_is_refused(
    operation: str, arguments: dict[str, Any], said: str
) -> None:
    assert said in refusal(operation, arguments)


@pytest.mark.parametrize("arguments", [{}, {"everything": False}])
@pytest.mark.parametrize("operation", ["requeue", "withdraw"])
def test_a_range_must_be_given(operation: str, arguments: dict[str, Any]) -> None:
    note = {"note": "x"} if operation == "withdraw" else {}
    assert "or everything: true" in refusal(operation, {"call": "track", **note, **arguments})


@pytest.mark.parametrize(
    ("operation", "arguments"),
    [
        ("requeue", {"call": "track", "everything": True}),
        ("requeue", {"call": "identify", "entity_id": "592481256000133060"}),
        ("requeue", {"call": "identify", "since": "2026-11-01 00:00:00", "everything": False}),
        ("withdraw", {"call": "track", "note": "it's wrong", "until": "2026-11-01"}),
        ("reconcile", {}),
        ("reconcile", {"repair": True}),
        ("retry_rejected", {}),
        ("resolve", {"entity_type": "order", "entity_id": "7", "error_code": "x", "note": "y"}),
        ("resolve", {"entity_type": "order", "entity_id": "7", "error_code": "x"}),
        ("purge_ledger", {"older_than_days": 400}),
    ],
)
def test_what_is_right_goes_on(operation: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(RanError):
        MACROS[operation](**arguments)


def test_every_operation_of_the_guides_checks_its_arguments() -> None:
    guides = "".join(
        path.read_text() for path in [PROJECT / "README.md", *(PROJECT / "docs").glob("*.md")]
    )
    operations = set(re.findall(r"run-operation (\w+)", guides))
    assert {"requeue", "withdraw", "reconcile"} <= operations
    for name in operations:
        source = (PROJECT / "macros/operations" / f"{name}.sql").read_text()
        assert f"check_arguments('{name}'" in re.sub(r"\(\s+", "(", source), name
