"""Statements that look at queries see the ids of clients."""

import pytest

from sandbox.clickhouse.query_ids import log_comment, rewrite


@pytest.mark.parametrize(
    ("sql", "keyword"),
    [
        ("SELECT 1", "SELECT"),
        ("SELECT 'FROM system.query_log'", "SELECT"),
        ("SELECT * FROM system.tables WHERE name = 'query_log'", "SELECT"),
        ("SELECT * FROM other.query_log -- FROM system.query_log", "SELECT"),
        ("CREATE VIEW v AS SELECT * FROM system.query_log", "CREATE"),
        ("DESCRIBE TABLE system.processes", "DESCRIBE"),
    ],
)
def test_other_statements_stay_as_they_are(sql, keyword):
    assert rewrite(sql.encode(), keyword) == sql.encode()


def test_a_select_reads_through_a_subquery():
    sql = b"SELECT query_id FROM System.Query_Log AS q JOIN system . processes USING (query_id)"
    seen = rewrite(sql, "SELECT").decode()
    assert seen.startswith("SELECT query_id FROM (SELECT * REPLACE (if(position(log_comment")
    assert "FROM system.query_log) AS q JOIN (SELECT * REPLACE (if(position(Settings[" in seen
    assert seen.endswith("FROM system.processes) USING (query_id)")


def test_kill_query_compares_the_clients_id():
    seen = rewrite(b"KILL QUERY WHERE query_id = 'query_id' SYNC", "KILL").decode()
    assert seen.startswith("KILL QUERY WHERE (if(position(Settings['log_comment']")
    assert seen.endswith(", query_id)) = 'query_id' SYNC")


def test_id_and_comment_share_a_setting():
    assert log_comment("an-id", "nightly run") == "an-id\nnightly run"
