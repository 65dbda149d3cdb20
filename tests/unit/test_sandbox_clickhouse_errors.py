"""Errors of the engine as a server words them."""

import pytest

from sandbox.clickhouse.errors import ClickHouseError


@pytest.mark.parametrize(
    "raw",
    [
        "Code: 60. DB::Exception: No table. (UNKNOWN_TABLE)",
        "Streaming query failed: Code: 60. DB::Exception: No table. (UNKNOWN_TABLE)",
        "Code: 60. DB::Exception: No table. (UNKNOWN_TABLE) (version 26.9.2.1)",
    ],
)
def test_code_and_text_of_the_engine(raw):
    error = ClickHouseError.from_engine(RuntimeError(raw))
    assert error.code == 60
    assert error.status == 404
    assert error.body("26.9") == (
        "Code: 60. DB::Exception: No table. (UNKNOWN_TABLE) (version 26.9)\n"
    )


def test_an_error_without_a_code_is_not_hidden():
    error = ClickHouseError.from_engine(RuntimeError("out of luck"))
    assert (error.code, error.status) == (1002, 500)
    assert "out of luck" in str(error)


@pytest.mark.parametrize(
    ("code", "status"),
    [(62, 400), (194, 401), (516, 403), (81, 404), (159, 408), (48, 501), (241, 500)],
)
def test_status(code, status):
    assert ClickHouseError(code, "x").status == status
