"""Where the SQL of a request ends and its data begins."""

import pytest

from sandbox.clickhouse.statement import parse


@pytest.mark.parametrize(
    ("text", "head", "input_format", "rows"),
    [
        (b"INSERT INTO t FORMAT CSV\n1,2\n", b"INSERT INTO t ", "CSV", b"1,2\n"),
        (b"insert into t format CSV 1,2", b"insert into t ", "CSV", b"1,2"),
        (b"INSERT INTO t FORMAT Native\r\n\x01\x00", b"INSERT INTO t ", "Native", b"\x01\x00"),
        # one line break belongs to the clause, a second one to the data
        (b"INSERT INTO t FORMAT RowBinary\n\n\x00", b"INSERT INTO t ", "RowBinary", b"\n\x00"),
        (b"INSERT INTO t (a, b) VALUES (1, 'x')", b"INSERT INTO t (a, b) ", "Values", None),
        (b"INSERT INTO t VALUES(1)", b"INSERT INTO t ", "Values", b"(1)"),
        (b"INSERT INTO `values` VALUES (1)", b"INSERT INTO `values` ", "Values", b" (1)"),
        (b"INSERT INTO values VALUES (1)", b"INSERT INTO values ", "Values", b" (1)"),
        (b"INSERT INTO format VALUES (1)", b"INSERT INTO format ", "Values", b" (1)"),
        (b"INSERT INTO d.format FORMAT CSV\n1", b"INSERT INTO d.format ", "CSV", b"1"),
        (b"INSERT INTO t FORMAT Values (1)", b"INSERT INTO t ", "Values", b"(1)"),
        (b"INSERT INTO t SELECT a FROM input('a Int8') FORMAT Values (1)", None, "Values", b"(1)"),
        (b"-- format\n/* VALUES */ INSERT INTO t VALUES (1)", None, "Values", b" (1)"),
        (b"INSERT INTO d.`for mat` SETTINGS x='FORMAT' FORMAT TSV\na", None, "TSV", b"a"),
        (b"INSERT INTO TABLE FUNCTION null('a Int8') FORMAT CSV\n1", None, "CSV", b"1"),
        (b'INSERT INTO t ("format") FORMAT JSONEachRow {"a": 1}', None, "JSONEachRow", None),
    ],
)
def test_rows_of_an_insert_are_found(text, head, input_format, rows):
    statement = parse(text, complete=True)
    assert statement is not None
    assert statement.insert is not None
    assert statement.insert.format == input_format
    if head is not None:
        assert statement.insert.head == head
    if rows is not None:
        assert text[statement.insert.offset :] == rows


@pytest.mark.parametrize(
    "text",
    [
        b"INSERT INTO t SELECT * FROM s",
        b"INSERT INTO t (a) SELECT a FROM values('a Int8', 1)",
        b"INSERT INTO t WITH x AS (SELECT 1) SELECT * FROM x FORMAT JSON",
        b"INSERT INTO t FROM INFILE 'x.csv' FORMAT CSV",
        b"SELECT 'INSERT INTO t VALUES (1)'",
    ],
)
def test_statements_without_rows(text):
    statement = parse(text, complete=True)
    assert statement is not None
    assert statement.insert is None


@pytest.mark.parametrize(
    ("text", "clauses"),
    [
        (b"INSERT INTO t (a) SETTINGS x=1 FORMAT CSV\n1", b"SETTINGS x=1 "),
        (b"INSERT INTO t SETTINGS x=1 VALUES (1)", b"SETTINGS x=1 "),
        (b"INSERT INTO d.settings (a) FORMAT CSV\n1", b""),
        (b"INSERT INTO settings VALUES (1)", b""),
        (b"INSERT INTO d.values (settings) -- settings\nFORMAT CSV\n1", b""),
        (b"INSERT INTO t WITH 1 AS k SELECT k FROM input('a Int8') FORMAT CSV\n1", None),
    ],
)
def test_where_the_clauses_of_an_insert_begin(text, clauses):
    statement = parse(text, complete=True)
    assert statement is not None
    assert statement.insert is not None
    found = statement.insert.head[statement.insert.clauses :]
    assert found == clauses if clauses is not None else found.startswith(b"WITH")


def test_input_function_is_located():
    text = b"INSERT INTO t SELECT a * 2 FROM input('a Int8') WHERE a > 0 FORMAT CSV\n1"
    statement = parse(text, complete=True)
    assert statement is not None
    assert statement.insert is not None
    start, inner, end = statement.insert.input_call or (0, 0, 0)
    assert text[start:inner] == b"input("
    assert text[inner:end] == b"'a Int8'"
    assert text[statement.insert.offset :] == b"1"


def test_a_text_that_arrives_byte_by_byte_is_understood_when_its_rows_begin():
    text = b"INSERT INTO t (a) FORMAT TabSeparated\n1"
    seen = [parse(text[:size], complete=False) for size in range(len(text))]
    decided = [size for size, statement in enumerate(seen) if statement is not None]
    # not at "Tab", not at "TabSeparated": only the byte behind tells that the name is whole
    assert decided[0] == len(b"INSERT INTO t (a) FORMAT TabSeparated\n")
    assert {s.insert.format for s in seen if s and s.insert} == {"TabSeparated"}


@pytest.mark.parametrize(
    ("text", "output_format"),
    [
        (b"SELECT 1 FORMAT JSON", "JSON"),
        (b"SELECT 1 FORMAT JSON SETTINGS max_threads = 1;", "JSON"),
        (b"SELECT 'x FORMAT CSV'", None),
        (b"SELECT * FROM (SELECT 1 FORMAT CSV)", None),
        (b"SELECT 1 AS format, JSON", None),
        (b"SELECT $$ FORMAT CSV $$", None),
        (b"SHOW TABLES FORMAT TSVRaw -- FORMAT CSV", "TSVRaw"),
    ],
)
def test_format_clause(text, output_format):
    statement = parse(text, complete=True)
    assert statement is not None
    assert statement.format == output_format


@pytest.mark.parametrize(
    ("text", "keyword", "stateful"),
    [
        (b"(SELECT 1)", "SELECT", False),
        (b"SET max_threads = 1", "SET", True),
        (b"use db", "USE", True),
        (b"CREATE TEMPORARY TABLE t (a Int8)", "CREATE", True),
        (b"CREATE OR REPLACE TEMPORARY TABLE t (a Int8)", "CREATE", True),
        (b"CREATE TABLE temporary (a Int8)", "CREATE", False),
        (b"  -- nothing\n", "", False),
    ],
)
def test_kind_of_statement(text, keyword, stateful):
    statement = parse(text, complete=True)
    assert statement is not None
    assert (statement.keyword, statement.is_stateful) == (keyword, stateful)
    assert statement.is_empty == (keyword == "")


def test_files_of_the_server_are_noticed():
    for text in (b"SELECT 1 INTO OUTFILE 'x'", b"INSERT INTO t FROM INFILE 'x' FORMAT CSV"):
        statement = parse(text, complete=True)
        assert statement is not None
        assert statement.uses_file


def test_a_long_string_is_read_without_recursion():
    text = b"SELECT '" + b"\\'" * 500_000 + b"' FORMAT Null"
    statement = parse(text, complete=True)
    assert statement is not None
    assert statement.format == "Null"
