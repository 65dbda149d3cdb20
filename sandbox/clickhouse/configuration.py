"""What the engine is told at its start: its log, and what SQL may do.

The sandbox is for the tables in its directory. SQL gets the rights for these and no others, so that
nobody who can send a query reads files, writes files, or connects to another machine with it.
Rights are given one by one: what a later version of the engine adds is closed until it is named.
"""

from __future__ import annotations

import os
from pathlib import Path
from xml.sax.saxutils import escape

_RIGHTS = (
    *("SHOW", "SHOW ACCESS", "SELECT", "INSERT", "ALTER", "CHECK", "OPTIMIZE", "TRUNCATE", "DROP"),
    *("UNDROP TABLE", "CREATE DATABASE", "CREATE TABLE", "CREATE VIEW", "CREATE TEMPORARY TABLE"),
    *("CREATE FUNCTION", "KILL QUERY", "KILL TRANSACTION", "MOVE PARTITION BETWEEN SHARDS"),
    *("dictGet", "displaySecretsInShowAndSelect", "INTROSPECTION"),
    *("SYSTEM DROP CACHE", "SYSTEM RELOAD", "SYSTEM MERGES", "SYSTEM TTL MERGES", "SYSTEM MOVES"),
    *("SYSTEM CLEANUP", "SYSTEM FLUSH", "SYSTEM WAIT LOADING PARTS", "SYSTEM LOAD PRIMARY KEY"),
    *("SYSTEM UNLOAD PRIMARY KEY", "SYSTEM VIRTUAL PARTS UPDATE"),
)
_TABLE_ENGINES = (
    *("MergeTree", "ReplacingMergeTree", "SummingMergeTree", "AggregatingMergeTree"),
    *("CollapsingMergeTree", "VersionedCollapsingMergeTree", "CoalescingMergeTree"),
    *("GraphiteMergeTree", "Log", "TinyLog", "StripeLog", "Memory", "Set", "Join", "Buffer"),
    *("Null", "Merge", "GenerateRandom"),
)
# These name files: formats' own, and disks outside of the directory.
_FIXED_SETTINGS = (
    *("format_schema", "format_schema_source", "format_template_row"),
    *("format_template_resultset", "format_template_row_format"),
    *("format_template_resultset_format", "merge_tree_disk", "merge_tree_storage_policy"),
)
_CONFIG = """\
<clickhouse>
    <timezone>UTC</timezone>
    <query_log>
        <database>system</database>
        <table>query_log</table>
        <flush_interval_milliseconds>1000</flush_interval_milliseconds>
        <ttl>event_date + INTERVAL 7 DAY</ttl>
    </query_log>
    <users_config>{users}</users_config>
    <remote_url_allow_hosts></remote_url_allow_hosts>
</clickhouse>
"""
_USERS = """\
<clickhouse>
    <profiles>
        <default>
            <max_memory_usage>{memory}</max_memory_usage>
            <constraints>
                {constraints}
            </constraints>
        </default>
    </profiles>
    <quotas>
        <default></default>
    </quotas>
    <users>
        <default>
            <password></password>
            <networks><ip>::/0</ip></networks>
            <profile>default</profile>
            <quota>default</quota>
            <grants>
                {grants}
            </grants>
        </default>
    </users>
</clickhouse>
"""


def write(directory: Path) -> Path:
    """Write the engine's configuration into its data directory and return the file's path."""
    users = directory / "users.xml"
    users.write_text(_users(), encoding="utf-8")
    config = directory / "engine.xml"
    config.write_text(_CONFIG.format(users=escape(str(users))), encoding="utf-8")
    return config


def _users() -> str:
    grants = [f"GRANT {right} ON *.*" for right in _RIGHTS]
    grants += [f"GRANT TABLE ENGINE ON {engine}" for engine in _TABLE_ENGINES]
    indent = "\n" + " " * 16
    return _USERS.format(
        # A request that holds one endless row must not take the machine down.
        memory=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2,
        constraints=indent.join(f"<{name}><const/></{name}>" for name in _FIXED_SETTINGS),
        grants=indent.join(f"<query>{grant}</query>" for grant in grants),
    )
