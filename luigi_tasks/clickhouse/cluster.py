"""Tables on one server or on a replicated cluster, by `[clickhouse] cluster`.

The statements of this package that create or alter tables have three placeholders, which say
nothing on one server:

    create table if not exists {database:Identifier}.loads $on_cluster (...)
    engine = ${replicated}MergeTree ... settings ${deduplication_window} = 1000

dbt does the same for its tables with the macros replicated() and clickhouse_on_cluster().
"""

from __future__ import annotations

from string import Template

from clickhouse_connect.driver.client import Client

from luigi_tasks import config

CREATE_DATABASE = "create database if not exists {database:Identifier} $on_cluster"
DATABASE_EXISTS = "exists database {database:Identifier}"
TABLE_EXISTS = "exists table {database:Identifier}.{table:Identifier}"


def ddl(statement: str) -> str:
    """Return a statement with its placeholders filled in."""
    cluster = config.clickhouse().cluster
    quoted = cluster.replace("\\", "\\\\").replace("'", "\\'")
    return Template(statement).substitute(
        on_cluster=f"on cluster '{quoted}'" if cluster else "",
        replicated="Replicated" if cluster else "",
        deduplication_window="replicated_deduplication_window"
        if cluster
        else "non_replicated_deduplication_window",
    )


def create(client: Client, database: str, table: str, statement: str) -> None:
    """Create a table, and its database, unless it is there.

    A statement on a cluster waits for every replica, so it is not given without need: a replica
    that is down must not hold up a run that has its tables.

    Args:
        client: A client for ClickHouse.
        database: The database of the table.
        table: Its name.
        statement: How it is created, with placeholders; `{database:Identifier}` is bound.
    """
    names = {"database": database, "table": table}
    if not client.command(TABLE_EXISTS, names):
        client.command(ddl(CREATE_DATABASE), names)
        client.command(ddl(statement), names)
