"""Named queries: each is there, commented, and used."""

from pathlib import Path

import pytest

import luigi_tasks
from luigi_tasks.clickhouse import queries

PACKAGE = Path(luigi_tasks.__file__).parent


def test_every_query_is_used_in_the_package() -> None:
    sources = "".join(path.read_text() for path in PACKAGE.rglob("*.py"))
    unused = [name for name in queries.load() if f'"{name}"' not in sources]
    assert not unused


def test_comments_are_not_sent() -> None:
    assert all("--" not in sql for sql in queries.load().values())


def test_databases_are_always_parameters() -> None:
    for name, sql in queries.load().items():
        # system.columns is asked about a database, and not read from one.
        as_text = "where database = {database:String}" in sql and "from system.columns" in sql
        assert "{database:Identifier}" in sql or as_text, name


def test_a_query_is_found_by_name() -> None:
    source = "-- head\n\n-- name: one\n-- Says one.\nselect 1\n\n-- name: two\n-- Two.\nselect 2\n"
    assert queries.parse(source) == {"one": "select 1", "two": "select 2"}


@pytest.mark.parametrize(
    "source",
    [
        "-- name: one\nselect 1\n",
        "-- name: one\n-- Nothing.\n",
        "-- name: one\n-- A.\nselect 1\n-- name: one\n-- B.\nselect 2\n",
    ],
)
def test_a_file_that_is_not_in_order_is_refused(source: str) -> None:
    with pytest.raises(ValueError, match="one"):
        queries.parse(source)


def test_two_files_with_a_query_of_one_name_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sql").mkdir()
    for name in ("a.sql", "b.sql"):
        (tmp_path / "sql" / name).write_text("-- name: one\n-- Says one.\nselect 1\n")
    monkeypatch.setattr(queries, "files", lambda package: tmp_path)
    with pytest.raises(ValueError, match="one again"):
        queries.load.__wrapped__()
