"""Builds of one landing database in two databases of models, and what is compared of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clickhouse_connect.driver.client import Client

from luigi_tasks.landing import dictionary
from luigi_tasks.landing.tables import LOADS_COLUMNS, Landing
from tests.integration.hostile_rows import Batch, Delivery
from tests.integration.in_process import Done, run_dbt
from tests.processes import MAPPINGS, PROJECT

BUILD = ("build", "--exclude-resource-type", "test", "unit_test")
RUN = ("run",)
CHANGES = ("run", "--selector", "changes")

# What is the same however it was built, by name.
CONTENT = {
    "orders": "select * from {db}.orders",
    "order_lines": "select * from {db}.order_lines",
    "customers": "select * from {db}.customers",
    "documents": (
        "select * except (built_at, is_gone) replace (arraySort(lines) as lines)"
        " from {db}.int_document_states final"
    ),
    "lines": "select * from {db}.exported_lines",
    "screened customers": (
        "select * except (built_at, is_gone, order_facts_changed_at, _staged_at)"
        " from {db}.int_customers_screened final"
    ),
    "nobody's addresses": "select * except (built_at, is_gone) from {db}.int_nobodys_emails final",
    "accounting": "select * from {db}.segment_row_accounting",
    "failures": "select * from {db}.segment_failed_events where error_category = 'validation'",
    "warnings": "select * from {db}.segment_warnings",
    "identify": "select * from {db}.identify",
    "sales": (
        "select * except (body), JSONExtractRaw(body, 'properties') as properties"
        " from {db}.order_completed"
    ),
    "refunds": (
        "select * except (body), JSONExtractRaw(body, 'properties') as properties"
        " from {db}.order_refunded"
    ),
}

# Violations of what holds after each build, by name.
RULES = {
    "a customer's last message says what the mart says": """
        select entity_id, message, body
        from {db}.identify as content
        left join (
            select * from {db}.segment_identify_events
            order by enqueued_at desc limit 1 by entity_id
        ) as last on content.entity_id = last.entity_id
        where
            replaceRegexpAll(substring(message, 88), '{of_no_sales}', '')
            != replaceRegexpAll(substring(body, 2), '{of_no_sales}', '')
    """,
    "a sale's last message says what the mart says": """
        select entity_id, message, body
        from {db}.order_completed as content
        left join (
            select * from {db}.segment_track_events
            where event != 'Order Refunded'
            order by enqueued_at desc limit 1 by entity_id
        ) as last on content.entity_id = last.entity_id
        where
            length(body) + 86 <= 32768
            and (
                JSONExtractRaw(message, 'properties') != JSONExtractRaw(body, 'properties')
                -- It may name nobody while the customer is a dummy, of whom no order is updated.
                or last.user_id not in ('', content.buyer_sid)
            )
    """,
    "a refund has a message": """
        select entity_id from {db}.order_refunded
        where
            length(body) + 86 <= 32768
            and entity_id not in (
                select entity_id from {db}.segment_track_events where event = 'Order Refunded'
            )
    """,
    "nothing is said twice in a row": """
        select entity_id, said, payload from (
            select
                entity_id, said, payload,
                lagInFrame(payload) over (
                    partition by entity_id, said order by enqueued_at
                ) as before
            from (
                select
                    entity_id, enqueued_at, concat(payload_hash, user_id) as payload,
                    if(event = 'Order Refunded', event, 'Order Completed') as said
                from {db}.segment_track_events
                union all
                select entity_id, enqueued_at, payload_hash as payload, event as said
                from {db}.segment_identify_events
            )
        )
        where payload = before
    """,
    "a sale and a refund happen once, and first": """
        select entity_id
        from {db}.segment_track_events
        group by entity_id
        having
            countIf(event = 'Order Completed') > 1
            or countIf(event = 'Order Refunded') > 1
            or countIf(event in ('Order Updated', 'Order Cancelled')) > 0 and (
                minIf(enqueued_at, event = 'Order Completed')
                >= minIf(enqueued_at, event in ('Order Updated', 'Order Cancelled'))
            )
    """,
    "a guest's document stays whose it was": """
        select entity_id, groupUniqArray(anonymous_id) as ids
        from {db}.segment_track_events
        where anonymous_id != ''
        group by entity_id
        having length(ids) > 1
    """,
    "no guest's id comes with two addresses, and no store's with any": """
        select anonymous_id, groupUniqArray(email) as emails
        from (
            select anonymous_id, JSONExtractString(message, 'context', 'traits', 'email') as email
            from {db}.segment_track_events
            where anonymous_id != '' and email != ''
        )
        group by anonymous_id
        having length(emails) > 1 or anonymous_id not like 'retail-pro-guest-%'
    """,
    "no message has the id of another": """
        select message_id from (
            select message_id from {db}.segment_track_events
            union all select message_id from {db}.segment_identify_events
        )
        group by message_id having count() > 1
    """,
    "a line is where it was last, once": """
        select row_key from (
            select row_key, count() as times from {db}.order_lines group by line_sid, row_key
        ) where times > 1
    """,
    "every line of the export is accounted for once": """
        select 1 from (
            select
                (select count() from {db}.exported_lines) as accounted,
                (select uniqExact(row_key) from {db}.stg_retail_pro__document_items) as exported
        ) where accounted != exported
    """,
}

# What an identify adds for a customer who has no sales any more.
OF_NO_SALES = '"(lifetimeRevenue":0|(averageOrderValue|firstOrderAt|lastOrderAt)":null),?'

RECORD = (
    "segment_identify_events",
    "segment_track_events",
    "segment_delivery_ledger",
    "segment_delivery_attempts",
    "segment_message_basis",
)


@dataclass
class Models:
    """A database of models, and dbt that builds them.

    Attributes:
        client: A client of the server.
        database: Name of the database.
        landing: Name of the landing database.
        environment: What points dbt at the server.
        directory: dbt's files.
        project: Directory of dbt_project.yml.
        mappings: Directory of the shop's mappings, in the project.
    """

    client: Client
    database: str
    landing: str
    environment: dict[str, str]
    directory: Path
    project: Path = PROJECT
    mappings: str = MAPPINGS

    def dbt(self, *arguments: str) -> Done:
        """Run a command of dbt in this process."""
        target = self.directory / self.database
        return run_dbt(
            self.environment
            | {
                "CLICKHOUSE_DATABASE": self.database,
                "RETAIL_PRO_DATABASE": self.landing,
                "RETAIL_PRO_SOURCE": "landing",
                "RETAIL_PRO_MAPPINGS": self.mappings,
            },
            *arguments,
            *([] if self.project == PROJECT else ["--project-dir", str(self.project)]),
            *([] if self.project == PROJECT else ["--profiles-dir", str(self.project)]),
            *("--target-path", str(target), "--log-path", str(target), "--quiet"),
        )

    def build(self, *arguments: str) -> None:
        """Run a command of dbt that must succeed.

        Raises:
            AssertionError: It did not; the text says which models failed.
        """
        done = self.dbt(*(arguments or RUN))
        assert done.success, done.failures() or done.output

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Query; `{db}` in the text is the database."""
        sql = sql.format(db=self.database, of_no_sales=OF_NO_SALES)
        return [tuple(row) for row in self.client.query(sql).result_rows]

    def value(self, sql: str) -> Any:
        """The one value of a query."""
        [[value]] = self.rows(sql)
        return value

    def content(self) -> dict[str, list[str]]:
        """What the models say, for a comparison."""
        return {
            name: sorted(
                text
                for (text,) in self.rows(
                    f"select toJSONString(tuple(*)) from ({sql})"
                    " settings output_format_json_named_tuples_as_objects = 1"
                )
            )
            for name, sql in CONTENT.items()
        }

    def violations(self) -> dict[str, list[tuple[Any, ...]]]:
        """Which of the rules are broken, and some of the rows that break them."""
        found = {name: self.rows(f"{sql} limit 5") for name, sql in RULES.items()}
        return {name: rows for name, rows in found.items() if rows}

    def messages(self) -> int:
        """How many messages were ever due."""
        return int(
            self.value(
                "select (select count() from {db}.segment_identify_events)"
                " + (select count() from {db}.segment_track_events)"
            )
        )

    def finished(self) -> list[tuple[Any, ...]]:
        """How far the builds that came to their end got, per call."""
        return self.rows(
            "select call, max(staged_until) from {db}.segment_build_progress group by 1 order by 1"
        )

    def lose_half_of_what_was_staged(self) -> None:
        """Remove rows that a build staged which did not come to its end."""
        for table in ("customers", "documents", "document_items"):
            self.client.command(
                f"alter table {self.database}.stg_retail_pro__{table} delete"
                " where cityHash64(row_key, content_hash, _loaded_at) % 2 and _staged_at >"
                f" (select max(staged_until) from {self.database}.segment_build_progress)"
                " settings mutations_sync = 2, allow_nondeterministic_mutations = 1"
            )

    def deliver_some(self) -> None:
        """Settle about half of what waits, as the sender does."""
        for call in ("identify", "track"):
            self.client.command(
                f"insert into {self.database}.segment_delivery_ledger"
                " (message_id, call, event, entity, entity_id, status, enqueued_at, recorded_at)"
                " select message_id, call, event, entity, entity_id, 'accepted', enqueued_at,"
                f" now64(3) from {self.database}.segment_{call}_outbox"
                " where cityHash64(message_id) % 2 = 0"
            )

    def take_record_of(self, other: Models) -> None:
        """Copy all that was ever due and sent, as if it had been due here."""
        self.client.command(f"create database {self.database}")
        for table in RECORD:
            name = f"{self.database}.{table}"
            self.client.command(f"create table {name} as {other.database}.{table}")
            self.client.command(f"insert into {name} select * from {other.database}.{table}")


def create_landing(client: Client, database: str) -> None:
    """Make empty landing tables."""
    Landing(client, database).create(dictionary.load(PROJECT))


def land(client: Client, database: str, batch: Batch) -> None:
    """Insert the rows of a batch, and commit its loads."""
    for delivery in batch.deliveries:
        columns = sorted({column for row in delivery.rows for column in row})
        client.insert(
            delivery.table,
            [
                (
                    *(row.get(column, "") for column in columns),
                    *(delivery.load_id, delivery.table if delivery.load_id else ""),
                    *(line if delivery.load_id else 0, delivery.at),
                )
                for line, row in enumerate(delivery.rows, 2)
            ],
            column_names=[*columns, "_load_id", "_file", "_line", "_loaded_at"],
            database=database,
        )
    commit(client, database, batch.commits)


def commit(client: Client, database: str, loads: Sequence[Delivery]) -> None:
    """Make the rows of loads count."""
    for load in loads:
        row = {
            "load_id": load.load_id,
            "table_name": load.table,
            "file": load.table,
            "content_hash": load.load_id,
            "bytes": 0,
            "rows": len(load.rows),
            "rejected_rows": 0,
            "columns": [],
            "loaded_at": load.at,
        }
        client.insert(
            "loads",
            [[row[name] for name in LOADS_COLUMNS]],
            column_names=list(LOADS_COLUMNS),
            database=database,
        )


def differences(
    incremental: dict[str, list[str]], rebuilt: dict[str, list[str]]
) -> dict[str, dict[str, list[str]]]:
    """What one database says and the other does not, some rows of each."""
    found = {}
    for name, rows in incremental.items():
        mine, theirs = set(rows), set(rebuilt[name])
        if rows != rebuilt[name]:
            found[name] = {
                "incremental": sorted(mine - theirs)[:4],
                "rebuilt": sorted(theirs - mine)[:4],
                "rows": [str(len(rows)), str(len(rebuilt[name]))],
            }
    return found
