"""Where is this customer or order, and why: `python -m luigi_tasks.explain NUMBER`.

NUMBER is a SID, a customer number (CUST_ID) or a receipt number (DOC_NO). Says what has become of
each customer and document with that number, a sentence per event. If there is only one, its rows
in the export, its messages and the requests that had them follow.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from clickhouse_connect.driver.exceptions import DatabaseError

from luigi_tasks import config
from luigi_tasks.clickhouse import client as clickhouse
from luigi_tasks.clickhouse import queries
from luigi_tasks.errors import PipelineError
from luigi_tasks.terminal import Terminal

TIME = "%Y-%m-%d %H:%M:%S"

REASONS = {
    "dummy_customer": "it is a dummy customer (seed dummy_customers)",
    "suppressed": "nothing may be sent about this customer (seed suppressed_users)",
    "inactive": "the customer is inactive (ACTIVE is 0)",
    "held": "the document is held (IS_HELD)",
    "not_posted": "the document is not posted yet (STATUS is not 4, or it has no DOC_NO)",
    "order_or_deposit": "it is an order or a deposit, no sale (RECEIPT_TYPE 2)",
    "excluded_store": "its store is excluded (seed excluded_stores)",
    "no_goods": "it has no goods sold or returned, such as a payment alone",
}
"""Why something is no message by design; a reason that is not here is shown as its code."""

SETTLED = {
    "accepted": "Segment accepted it at {sent_at:%Y-%m-%d %H:%M:%S} UTC.",
    "rejected": "it was rejected, {reason_code}: {detail}. Mend it, then: "
    "dbt run-operation retry_rejected.",
    "resolved": "it was not sent, and a person settled it ({reason_code}): {detail}.",
    "requeued": "it was replaced by a later message before it was sent.",
    "purged": "it was settled, and its record has been purged since.",
    "left_behind": "it is below the watermark of the outbox and was never settled: no sync sends "
    "it. Run dbt run-operation reconcile.",
    "pending": "it is in the outbox since {entered_at:%Y-%m-%d %H:%M:%S} UTC; the next sync "
    "sends it.",
}


@dataclass(frozen=True)
class Message:
    """One message of an entity, and what became of it."""

    event: str
    entered_at: datetime
    message_id: str
    status: str
    sent_at: datetime
    reason_code: str
    detail: str


@dataclass(frozen=True)
class Failure:
    """One row of segment_failed_events."""

    event: str
    category: str
    code: str
    explanation: str
    resolved: bool


@dataclass(frozen=True)
class Findings:
    """All that is known of one customer or document.

    Attributes:
        entity: customer or order.
        sid: The SID as exported.
        rows: (file, line, time of loading) of the export's rows, latest first.
        due: (event, exclusion reason, failure code) of what the marts make of it.
        failures: Its rows of segment_failed_events.
        messages: Its messages, oldest first.
        attempts: (time, outcome, HTTP status, code, detail) of requests, latest first.
        waits_for: (event, entity, SID, code) of messages of the same user that Segment does not
            take, so that this one waits behind them.
    """

    entity: str
    sid: str
    rows: list[tuple[str, int, datetime]]
    due: list[tuple[str | None, str | None, str | None]]
    failures: list[Failure]
    messages: list[Message]
    attempts: list[tuple[datetime, str, int, str, str]]
    waits_for: list[tuple[str, str, str, str]] = field(default_factory=list)

    def conclusions(self) -> Iterator[str]:
        """Yield what it comes to, a sentence per event."""
        last = {message.event: message for message in self.messages}
        for event, reason, code in self.due:
            if reason:
                yield f"{event or 'No event'}: not sent, because {REASONS.get(reason, reason)}."
            elif event and not code and event not in last:
                yield (
                    f"{event}: should go out and has no message. Run dbt build; if that changes "
                    "nothing, it is a guest order and the variable guest_orders is skip."
                )
        for failure in self.failures:
            state = "marked as resolved" if failure.resolved else failure.category
            yield f"{failure.event}: {state}, {failure.code}: {failure.explanation}"
        for event, message in last.items():
            yield f"{event}: {SETTLED[message.status].format(**vars(message))}"
        if any(message.status == "pending" for message in last.values()):
            for what, entity, sid, code in self.waits_for:
                yield (
                    f"It waits for the {what} of {entity} {sid}, which Segment does not take: "
                    f"{code}."
                )
        if not self.due and not self.messages and not self.failures:
            yield "It is in the export and not in the marts. Run dbt build."


def find(number: str) -> list[Findings]:
    """Return what is known of each customer and document that a number stands for."""
    return [_collect(entity, sid) for entity, sid in queries.rows("explain_find", number=number)]


def _collect(entity: str, sid: str) -> Findings:
    customer = entity == "customer"
    call = "identify" if customer else "track"
    tables = {"events": f"segment_{call}_events", "outbox": f"segment_{call}_outbox"}
    messages = queries.rows("explain_messages", sid=sid, call=call, **tables)
    base = f"base_retail_pro__{'customers' if customer else 'documents'}"
    return Findings(
        entity,
        sid,
        rows=queries.rows("explain_landing", base=base, sid=sid),
        due=queries.rows("explain_customer" if customer else "explain_document", sid=sid),
        failures=[
            Failure(*row) for row in queries.rows("explain_failures", entity=entity, sid=sid)
        ],
        messages=[Message(*row) for row in messages],
        attempts=queries.rows("explain_attempts", sid=sid, **tables),
        waits_for=queries.rows("explain_waits_for", sid=sid, events=tables["events"]),
    )


def unread(number: str) -> list[tuple[str, str, int, str]]:
    """Return (table, file, line, reason) of lines with a number that could not be read.

    Empty too when no export was ever loaded by LoadExport, which makes the table.
    """
    landing = config.retail_pro().landing_database
    try:
        return queries.rows("explain_rejected_lines", database=landing, number=number)
    except DatabaseError as error:
        if clickhouse.is_missing(error):
            return []
        raise


def lines(found: Findings) -> Iterator[str]:
    """Yield the findings as text, after the conclusions."""
    for file, line, loaded_at in found.rows:
        where = f"line {line} of {file}" if file else "a table that tells no file"
        when = f", loaded {loaded_at:{TIME}} UTC" if loaded_at.year > 1970 else ""
        yield f"Row of the export: {where}{when}"
    for message in found.messages:
        sent = f", sent {message.sent_at:{TIME}} UTC" if message.sent_at.year > 1970 else ""
        yield (
            f"Message {message.message_id}: {message.event}, entered the outbox "
            f"{message.entered_at:{TIME}} UTC, {message.status}{sent} {message.reason_code}"
        )
    for started_at, outcome, http_status, code, detail in found.attempts:
        yield f"Request {started_at:{TIME}} UTC: {outcome}, HTTP {http_status} {code} {detail}"


def main() -> int:
    """Explain the number on the command line.

    Returns:
        The exit code: 0, or 1 when nothing is known or there is nothing to ask.
    """
    parser = argparse.ArgumentParser(
        prog="python -m luigi_tasks.explain", description="Where a customer or order is, and why."
    )
    parser.add_argument("number", help="SID, customer number (CUST_ID) or receipt number (DOC_NO)")
    number, terminal = parser.parse_args().number.strip(), Terminal()
    try:
        found = find(number)
        for each in found:
            terminal.say(f"{each.entity} {each.sid}", style="bold")
            for sentence in each.conclusions():
                terminal.say(f"  {sentence}")
            for detail in lines(each) if len(found) == 1 else ():
                terminal.say(f"    {detail.rstrip()}")
        if len(found) > 1:
            terminal.say("For the rows, messages and requests of one of them give its SID.")
        for table, file, line, reason in unread(number):
            terminal.say(
                f"Line {line} of {file} ({table}) could not be read and holds it: {reason}"
            )
    except PipelineError as error:
        terminal.say_error(error)
        return 1
    except DatabaseError as error:
        if not clickhouse.is_missing(error):
            raise
        database = config.clickhouse().database
        terminal.say(f"The models are not in the database {database} yet. Run dbt build first.")
        return 1
    if not found:
        terminal.say(
            f"No customer or document of the export has {number} as SID, CUST_ID or DOC_NO. "
            "Was the export loaded? See retail_pro.loads."
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
