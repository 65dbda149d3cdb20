"""The profile of a server or user changes nothing: not what is built and sent, nor what views show.

The profile here has every setting of `pinned_settings` the other way round, and limits that break a
query off without an error. The engine gets it as a server would, from a users.xml, and with it the
rights of deploy/clickhouse/accounts.sql, and no others.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from sandbox.private import read_password
from tests.conftest import ClickHouseServer, LuigiServer, SegmentServer, _server
from tests.integration.conftest import SampleBuild
from tests.integration.test_pipeline import Shop
from tests.processes import PROJECT, sandbox_server

PINNED = yaml.safe_load((PROJECT / "profiles.yml").read_text())["pinned_settings"]

MEANING = {
    "session_timezone": "Pacific/Auckland",
    "date_time_input_format": "basic",
    "date_time_output_format": "unix_timestamp",
    "date_time_overflow_behavior": "saturate",
    "cast_string_to_date_time_mode": "basic",
    "enable_extended_results_for_datetime_functions": "1",
    "formatdatetime_f_prints_single_zero": "1",
    "formatdatetime_f_prints_scale_number_of_digits": "1",
    "formatdatetime_format_without_leading_zeros": "1",
    "formatdatetime_parsedatetime_m_is_month_name": "0",
    "parsedatetime_parse_without_leading_zeros": "0",
    "parsedatetime_e_requires_space_padding": "1",
    "join_use_nulls": "1",
    "group_by_use_nulls": "1",
    "transform_null_in": "1",
    "aggregate_functions_null_for_empty": "1",
    "cast_keep_nullable": "1",
    "data_type_default_nullable": "1",
    "least_greatest_legacy_null_behavior": "1",
    "function_json_value_return_type_allow_nullable": "1",
    "prefer_column_name_to_alias": "1",
    "enable_positional_arguments": "0",
    "enable_named_columns_in_function_tuple": "1",
    "asterisk_include_alias_columns": "1",
    "asterisk_include_materialized_columns": "1",
    "union_default_mode": "DISTINCT",
    "except_default_mode": "DISTINCT",
    "intersect_default_mode": "DISTINCT",
    "join_default_strictness": "ANY",
    "any_join_distinct_right_table_keys": "1",
    "join_any_take_last_row": "1",
    "count_distinct_implementation": "uniqHLL12",
    "empty_result_for_aggregation_by_empty_set": "1",
    "empty_result_for_aggregation_by_constant_keys_on_empty_set": "0",
    "decimal_check_overflow": "0",
    "splitby_max_substrings_includes_remaining_string": "1",
    "count_matches_stop_at_empty_match": "1",
    "use_variant_as_common_type": "0",
    "bool_true_representation": "yes",
    "bool_false_representation": "no",
    "output_format_json_skip_null_value_in_named_tuples": "0",
    "output_format_json_named_tuples_as_objects": "0",
    "output_format_json_map_as_array_of_tuples": "1",
    "output_format_json_escape_forward_slashes": "1",
    "output_format_json_quote_decimals": "1",
    "output_format_json_quote_64bit_integers": "1",
    "output_format_json_quote_64bit_floats": "1",
    "output_format_json_quote_denormals": "1",
    "output_format_json_validate_utf8": "1",
    "output_format_decimal_trailing_zeros": "1",
    "final": "1",
    "apply_deleted_mask": "0",
    "apply_patch_parts": "0",
    "do_not_merge_across_partitions_select_final": "1",
}
"""What a reader's profile may say. A view must not care."""

WRITING = {
    "insert_null_as_default": "0",
    "input_format_null_as_default": "0",
    "input_format_defaults_for_omitted_fields": "0",
    "input_format_tsv_empty_as_default": "1",
    "flatten_nested": "0",
    "default_table_engine": "Log",
    "default_normal_view_sql_security": "DEFINER",
    "async_insert": "1",
    "insert_deduplicate": "0",
    "deduplicate_insert": "disable",
    "deduplicate_insert_select": "disable",
    "optimize_on_insert": "0",
    "input_format_allow_errors_num": "10",
    "input_format_allow_errors_ratio": "0.5",
    "input_format_skip_unknown_fields": "1",
    "input_format_tsv_skip_first_lines": "1",
    "input_format_tsv_detect_header": "1",
    "input_format_tsv_enum_as_number": "1",
    "input_format_csv_use_default_on_bad_values": "1",
    "insert_allow_materialized_columns": "1",
    "lightweight_delete_mode": "lightweight_update",
}
READING = {
    "compatibility": "23.3",
    "allow_experimental_analyzer": "0",
    "limit": "3",
    "offset": "1",
    "extremes": "1",
    "use_query_cache": "1",
    "additional_result_filter": "rand() % 2",
    "additional_table_filters": "{'system.tables': '1 = 2'}",
    "select_sequential_consistency": "0",
}
"""What concerns the last step of a reader's own query, so that no view can help it."""

NOT_IN_A_PROFILE = {"limit", "offset", "extremes", "additional_result_filter", "use_query_cache"}
"""With these in its profile nobody can connect: the first queries of a client, and of the sandbox,
come before it sends settings. The query cache refuses to work with overflow modes."""

BREAKING = {
    "distinct_overflow_mode": ("max_rows_in_distinct", "break"),
    "group_by_overflow_mode": ("max_rows_to_group_by", "any"),
    "join_overflow_mode": ("max_rows_in_join", "break"),
    "read_overflow_mode": ("max_rows_to_read", "break"),
    "read_overflow_mode_leaf": ("max_rows_to_read_leaf", "break"),
    "result_overflow_mode": ("max_result_rows", "break"),
    "set_overflow_mode": ("max_rows_in_set", "break"),
    "sort_overflow_mode": ("max_rows_to_sort", "break"),
    "timeout_overflow_mode": ("max_execution_time", "break"),
    "timeout_overflow_mode_leaf": ("max_execution_time_leaf", "break"),
    "transfer_overflow_mode": ("max_rows_to_transfer", "break"),
}
"""Overflow mode: its limit, and the mode in which a query ends with some of its rows."""

OWN_STEP = {"result_overflow_mode", "read_overflow_mode_leaf", "timeout_overflow_mode_leaf"}
"""Overflow modes of the reader's own last step, and those that only sharded tables have."""


def test_every_pinned_setting_is_tried() -> None:
    tried = {**MEANING, **WRITING, **READING} | {mode: how for mode, (_, how) in BREAKING.items()}
    assert tried.keys() == PINNED.keys()
    assert not [name for name, value in tried.items() if str(PINNED[name]) == value]


def test_a_view_pins_what_dbt_pins() -> None:
    text = (PROJECT / "macros/clickhouse/view_settings.sql").read_text()
    named = {line.strip(" ',") for line in text.splitlines() if line.startswith("    '")}
    # What has no part in a view: names are resolved when it is made, or it concerns text from
    # outside.
    no_part = {
        "any_join_distinct_right_table_keys",
        "apply_patch_parts",
        "count_matches_stop_at_empty_match",
        "data_type_default_nullable",
        "enable_positional_arguments",
        "function_json_value_return_type_allow_nullable",
    }
    assert named == MEANING.keys() - no_part | BREAKING.keys() - OWN_STEP - {
        "transfer_overflow_mode"
    }


def views(build: SampleBuild) -> list[str]:
    """The views of a build, without those that only it itself reads."""
    found = build.client.query(
        "select name from system.tables where database = {database:String} and engine = 'View'"
        " and name not like 'base%' order by name",
        {"database": build.database},
    )
    return [name for (name,) in found.result_rows]


def test_a_view_shows_the_same_to_any_reader(
    sample_build: SampleBuild, clickhouse_server: ClickHouseServer
) -> None:
    plain = clickhouse_server.connect(database=sample_build.database)
    hostile = clickhouse_server.connect(database=sample_build.database, settings=MEANING)
    found = views(sample_build)
    assert {"segment_track_outbox", "orders", "segment_failed_events"} < set(found)
    for view in found:
        assert rows(hostile, view) == rows(plain, view), view


def rows(client: Client, view: str) -> list[bytes]:
    """The rows of a view as bytes, in no order."""
    columns = client.command(
        f"select arrayStringConcat(groupArray(name), ', ') from (select name from system.columns"
        f" where database = currentDatabase() and table = '{view}' order by position)"
    )
    hashed = f"select hex(sipHash128(tuple({columns}))) as row from {view}"
    return sorted(client.raw_query(hashed, fmt="TabSeparated").splitlines())


SANDBOX_RIGHTS = (
    "grant create database, drop database on default.*",
    "grant kill query on *.*",
    "grant table engine on MergeTree",
    "grant table engine on ReplacingMergeTree",
)
"""What the sandbox needs at its start and for inserts, as its only user; and table engines, for
which a server asks no right unless it is told to."""


@contextmanager
def hostile_server(
    directory: Path, role: str, databases: dict[str, str]
) -> Iterator[ClickHouseServer]:
    """A ClickHouse whose profile is against us and whose user has one role of accounts.sql.

    Args:
        directory: Where its data is; a second server on it goes on with the data of the first.
        role: The role.
        databases: The databases that take the place of those in accounts.sql.
    """
    limits = {limit: "1000000" for limit, _ in BREAKING.values()}
    limits |= {"max_execution_time": "600", "max_execution_time_leaf": "600"}
    modes = {mode: how for mode, (_, how) in BREAKING.items()}
    profile = {**MEANING, **WRITING, **READING, **modes, **limits}
    users = directory.parent / f"{role}.xml"
    users.write_text(
        users_xml(
            {name: value for name, value in profile.items() if name not in NOT_IN_A_PROFILE},
            grants(role, databases),
        )
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEST_ENGINE_USERS", str(users))
        with sandbox_server("tests.engine", directory) as (_, url):
            yield _server(url, read_password(directory / "password"))


def grants(role: str, databases: dict[str, str]) -> list[str]:
    """What accounts.sql grants to a role, on these databases."""
    text = (PROJECT / "deploy/clickhouse/accounts.sql").read_text()
    for name, own in databases.items():
        text = re.sub(rf"\b{name}\.", f"{own}.", text)
    return [" ".join(found.split()) for found in re.findall(rf"(grant [^;]+) to {role};", text)]


def users_xml(profile: dict[str, str], rights: list[str]) -> str:
    """A users.xml with one user and a profile."""
    root = ET.Element("clickhouse")
    default = ET.SubElement(ET.SubElement(root, "profiles"), "default")
    for name, value in profile.items():
        ET.SubElement(default, name).text = value
    user = ET.SubElement(ET.SubElement(root, "users"), "default")
    ET.SubElement(user, "password")
    ET.SubElement(ET.SubElement(user, "networks"), "ip").text = "::/0"
    ET.SubElement(user, "profile").text = "default"
    ET.SubElement(user, "quota").text = "default"
    granted = ET.SubElement(user, "grants")
    for right in (*SANDBOX_RIGHTS, *rights):
        ET.SubElement(granted, "query").text = right
    ET.SubElement(ET.SubElement(root, "quotas"), "default")
    return ET.tostring(root, encoding="unicode")


def test_a_sync_sends_everything_in_a_hostile_profile_with_the_least_rights(
    segment_server: SegmentServer, luigid: LuigiServer, tmp_path: Path
) -> None:
    segment_server.reset()
    databases = {"retail": "shop", "retail_pro": "shop_landing"}
    with hostile_server(tmp_path / "engine", "retail_pro_sync", databases) as server:
        shop = Shop(server, segment_server, luigid, tmp_path)
        shop.env |= {"CLICKHOUSE_DATABASE": "shop", "RETAIL_PRO_DATABASE": "shop_landing"}
        shop.sync()
        stats = segment_server.stats()
        # As the README says of the sample export.
        assert stats["by_type"] == {"identify": 598, "track": 2259}
        assert (stats["unique"], stats["dropped"]) == (598 + 2259, 0)
        for mode in BREAKING.keys() - OWN_STEP - {"timeout_overflow_mode"}:
            assert pending(server, "shop", mode) in (0, "refused"), mode
        shop.run("dbt", "run-operation", "purge_ledger", "--args", "{older_than_days: 400}")
        with pytest.raises(DatabaseError, match="Not enough privileges"):
            shop.client.command("create database another")
    with hostile_server(tmp_path / "engine", "retail_pro_docs", databases) as server:
        shop.run("dbt", "docs", "generate", **server.environment)
        with pytest.raises(DatabaseError, match="Not enough privileges"):
            server.connect().query("select * from shop.segment_identify_events")


def pending(server: ClickHouseServer, database: str, mode: str) -> int | str:
    """What a reader sees pending who breaks off at the first row more than one."""
    limit, how = BREAKING[mode]
    plain = {name: value for name, value in PINNED.items() if name not in BREAKING}
    reader = server.connect(settings=plain | {limit: 1, mode: how})
    try:
        return sum(
            reader.command(f"select count() from {database}.segment_{call}_outbox")
            for call in ("identify", "track")
        )
    except DatabaseError as error:
        if "exceeded" in str(error):
            return "refused"
        raise
