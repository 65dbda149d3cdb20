"""What `explain` concludes from what it found."""

from datetime import datetime, timezone
from typing import Any

import pytest

from luigi_tasks.explain import REASONS, Failure, Findings, Message, lines

AT = datetime(2026, 11, 1, 10, 0, 0, tzinfo=timezone.utc)
NEVER = datetime(1970, 1, 1, tzinfo=timezone.utc)


def findings(**found: Any) -> Findings:
    """An order of which nothing is known, but for what is given."""
    empty: dict[str, Any] = {"rows": [], "due": [], "failures": [], "messages": [], "attempts": []}
    return Findings("order", "42", **(empty | found))


def message(status: str, event: str = "Order Completed", **fields: Any) -> Message:
    """A message that entered the outbox at AT."""
    values: dict[str, Any] = {"sent_at": NEVER, "reason_code": "", "detail": ""} | fields
    return Message(event, AT, "ab" * 16, status, **values)


@pytest.mark.parametrize("reason", REASONS)
def test_what_is_left_out_by_design_is_said_in_words(reason: str) -> None:
    [sentence] = findings(due=[(None, reason, None)]).conclusions()
    assert sentence.startswith("No event: not sent, because ")
    assert "_" not in sentence.partition("(")[0]


def test_a_reason_without_words_is_shown_as_it_is() -> None:
    [sentence] = findings(due=[("Order Completed", "new_reason", None)]).conclusions()
    assert "because new_reason" in sentence


def test_what_is_due_and_has_no_message_needs_a_build() -> None:
    [sentence] = findings(due=[("Order Completed", None, None)]).conclusions()
    assert "Run dbt build" in sentence


def test_what_is_held_says_what_to_mend_and_no_more() -> None:
    failure = Failure("Order Completed", "validation", "sign_conflict", "Correct it.", False)
    [sentence] = findings(
        due=[("Order Completed", None, "sign_conflict")], failures=[failure]
    ).conclusions()
    assert sentence == "Order Completed: validation, sign_conflict: Correct it."


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (message("accepted", sent_at=AT), "accepted it at 2026-11-01 10:00:00 UTC"),
        (message("pending"), "in the outbox since 2026-11-01 10:00:00 UTC"),
        (message("rejected", reason_code="http_400", detail="bad"), "http_400: bad"),
        (message("resolved", reason_code="withdrawn", detail="no"), "(withdrawn): no"),
        (message("requeued"), "replaced by a later message"),
        (message("purged"), "has been purged"),
        (message("left_behind"), "never settled: no sync sends it"),
    ],
)
def test_the_last_message_of_each_event_counts(found: Message, says: str) -> None:
    refund = message("pending", "Order Refunded")
    earlier = message("rejected", reason_code="earlier")
    sentences = list(findings(messages=[earlier, found, refund]).conclusions())
    assert len(sentences) == 2
    assert says in sentences[0]
    assert "earlier" not in sentences[0]


def test_what_waits_for_a_stuck_message_names_it() -> None:
    stuck = [("identify", "customer", "5001", "http_500")]
    _, sentence = findings(messages=[message("pending")], waits_for=stuck).conclusions()
    assert sentence == (
        "It waits for the identify of customer 5001, which Segment does not take: http_500."
    )
    assert len(list(findings(messages=[message("accepted")], waits_for=stuck).conclusions())) == 1


def test_rows_messages_and_requests_follow() -> None:
    text = "\n".join(
        lines(
            findings(
                rows=[("document.csv", 7, AT), ("", 0, NEVER)],
                messages=[message("pending")],
                attempts=[(AT, "retryable", 503, "http_503", "busy")],
            )
        )
    )
    assert "line 7 of document.csv, loaded 2026-11-01 10:00:00 UTC" in text
    assert "a table that tells no file" in text
    assert "1970" not in text
    assert "retryable, HTTP 503 http_503 busy" in text
