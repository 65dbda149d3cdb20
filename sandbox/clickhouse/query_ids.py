"""The query ids of clients, which the engine does not take.

chDB names every query itself. The client's id travels in the setting ``log_comment``, ahead of a
comment of the client's own; statements that look at queries are rewritten to see it as
``query_id``.
"""

from __future__ import annotations

from sandbox.clickhouse.statement import Token, tokens

_END_OF_ID = "\n"
_COMMENTS = {b"PROCESSES": "Settings['log_comment']", b"QUERY_LOG": "log_comment"}
_BEFORE_A_TABLE = (b"FROM", b"JOIN")


def log_comment(query_id: str, comment: str) -> str:
    """The value of ``log_comment`` that carries both a query id and a comment."""
    return query_id + _END_OF_ID + comment


def rewrite(text: bytes, keyword: str) -> bytes:
    """Let a statement see the clients' ids in system.processes and system.query_log.

    A SELECT reads the two tables through a subquery; in KILL QUERY, ``query_id`` becomes an
    expression. Everything else, such as the definition of a view, is left as it is.
    """
    if keyword == "KILL":
        expression = f"({_id('query_id', _COMMENTS[b'PROCESSES'])})".encode()
        places = [t for t in tokens(text) if t.upper == b"QUERY_ID"]
        return _replaced(text, [(t.start, t.end, expression) for t in places])
    if keyword in ("SELECT", "WITH", "INSERT") and b"system" in text.lower():
        return _replaced(text, _tables(list(tokens(text))))
    return text


def _tables(found: list[Token]) -> list[tuple[int, int, bytes]]:
    """Find the two tables where they are read, with what replaces each."""
    changes = []
    for before, database, dot, table in zip(found, found[1:], found[2:], found[3:], strict=False):
        is_read = before.upper in _BEFORE_A_TABLE and database.upper == b"SYSTEM"
        if is_read and dot.text == b"." and table.upper in _COMMENTS:
            changes.append((database.start, table.end, _subquery(table.upper).encode()))
    return changes


def _subquery(table: bytes) -> str:
    comment = _COMMENTS[table]
    replaced = [f"{_id(name, comment)} AS {name}" for name in ("query_id", "initial_query_id")]
    if comment == "log_comment":
        replaced.append(rf"substring({comment}, position({comment}, '\n') + 1) AS {comment}")
    return f"(SELECT * REPLACE ({', '.join(replaced)}) FROM system.{table.decode().lower()})"


def _id(engine_id: str, comment: str) -> str:
    """The client's id; the engine's for a query that set a ``log_comment`` of its own."""
    return rf"if(position({comment}, '\n') > 0, substringIndex({comment}, '\n', 1), {engine_id})"


def _replaced(text: bytes, changes: list[tuple[int, int, bytes]]) -> bytes:
    for start, end, new in reversed(changes):
        text = text[:start] + new + text[end:]
    return text
