"""The three clocks of a run, compared before anything is written.

- *ClickHouse's* says when a message enters the outbox, which is its place there, and the time of a
  message that has none of its own. A run under a wrong one loses nothing (macro outbox_end), but
  those messages would say a wrong time.
- *this machine's* says when rows of an export were loaded, and is in every request. Segment
  corrects every time that it delivers by the difference between its clock and ours, so a clock that
  is wrong shifts all orders.
- *Segment's* is the Date header of SEGMENT_HOST. It is not asked in a dry run. A Segment that is
  away or sends no Date is reported: sending waits for it later.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime

import requests

from luigi_tasks import config
from luigi_tasks.clickhouse import client as clickhouse
from luigi_tasks.errors import ConfigurationError

logger = logging.getLogger("luigi-interface.clocks")

CLOCK = "select toUnixTimestamp64Micro(now64(6, 'UTC')) / 1e6"
"""Seconds since 1970, by ClickHouse's clock."""


def check() -> None:
    """Compare the clocks.

    Raises:
        ConfigurationError: Two of them differ by more than [readiness]
            longest_clock_offset_seconds. Names them; nothing was written.
    """
    found = list(_objections())
    if found:
        limit = config.readiness().longest_clock_offset_seconds
        raise ConfigurationError(
            f"{' '.join(found)} Up to {limit:g} s are allowed ([readiness] "
            "longest_clock_offset_seconds). Nothing was loaded, built or sent. Set the clock, with "
            "NTP, then run again."
        )


def _objections() -> Iterator[str]:
    """Yield a sentence for each clock that is too far from this machine's."""
    limit = config.readiness().longest_clock_offset_seconds
    ahead = clickhouse_ahead()
    logger.info("ClickHouse's clock is %+.0f s from this machine's.", ahead)
    if abs(ahead) > limit:
        yield (
            f"ClickHouse's clock is {ahead:+,.0f} s from this machine's: messages would enter the "
            "outbox at a time that is wrong by as much."
        )
    if config.is_dry_run():
        return
    host = config.segment().host
    behind = segment_behind(host)
    if behind is None:
        return
    logger.info("This machine's clock is %+.0f s from that of %s.", behind, host)
    if abs(behind) > limit:
        yield (
            f"This machine's clock is {behind:+.0f} s from that of {host}: every order would "
            "arrive with a time that is wrong by as much."
        )


def clickhouse_ahead() -> float:
    """Return by how many seconds ClickHouse's clock is ahead of this machine's.

    The answer may have taken long: what lies between the question and the answer is no difference.
    """
    client = clickhouse.connect()  # A server that wakes up slowly does so before the question.
    asked_at = time.time()
    [(there,)] = client.query(CLOCK).result_rows
    answered_at = time.time()
    return max(0.0, there - answered_at) + min(0.0, there - asked_at)


def segment_behind(host: str) -> float | None:
    """Return by how many seconds this machine's clock is ahead of Segment's; None: not known."""
    settings = config.segment()
    timeout = (settings.connect_timeout_seconds, settings.timeout_seconds)
    asked_at = time.time()
    try:
        answer = requests.get(host, timeout=timeout, allow_redirects=False)
    except requests.RequestException as error:
        logger.warning("Segment at %s cannot be reached (%s).", host, type(error).__name__)
        return None
    offset = clock_offset(answer.headers.get("Date", ""), (asked_at + time.time()) / 2)
    if offset is None:
        logger.warning("%s sends no Date: the clock could not be checked.", host)
    return offset


def clock_offset(date: str, now: float) -> float | None:
    """Return by how many seconds `now` is ahead of a Date header, which has whole seconds."""
    try:
        server = parsedate_to_datetime(date).timestamp()
    except (TypeError, ValueError):
        return None
    # The header is cut to the second that it lies in.
    ahead = now - server
    return ahead if ahead < 0 else max(0.0, ahead - 1)
