"""The errors of a task that gets nothing but refusals: what happened, and what to do next."""

from __future__ import annotations

from luigi_tasks import config
from luigi_tasks.errors import (
    ConfigurationError,
    CredentialsRefusedError,
    EverythingRejectedError,
    PipelineError,
    SegmentUnavailableError,
)
from luigi_tasks.segment import endpoint as segment
from luigi_tasks.segment.endpoint import Verdict


def unavailable(call: str, said: str, so_far: str) -> SegmentUnavailableError:
    """Segment stayed away for as long as a task waits."""
    return SegmentUnavailableError(
        f"Segment at {config.segment().host} did not take the {call} messages: {said}. The time "
        f"for retries is used up. So far: {so_far}. The rest stays in the outbox: run the same "
        "command again later, or wait for the next scheduled run."
    )


def asked_to_wait(why: str) -> SegmentUnavailableError:
    """The time that Segment asked for is longer than a task waits."""
    return SegmentUnavailableError(
        f"Segment is not asked now: {why} (Retry-After). Nothing was sent; everything stays in the "
        "outbox, and a run that starts after that time sends it."
    )


def everything_rejected(call: str, messages: int, verdict: Verdict) -> EverythingRejectedError:
    """Messages were rejected and none accepted, which speaks against the key."""
    return EverythingRejectedError(
        f"Segment rejected all {messages:,} {call} messages and accepted none "
        f"({verdict.reason_code}: {verdict.detail}). Nothing was recorded as rejected. Check "
        f"SEGMENT_WRITE_KEY and SEGMENT_HOST ({config.segment().host}), then run again."
    )


def refused(verdict: Verdict) -> PipelineError:
    """Segment refuses us, not a message."""
    host = config.segment().host
    said = f"{verdict.reason_code}: {verdict.detail}" if verdict.detail else verdict.reason_code
    if verdict.reason_code == segment.OAUTH_REFUSED:
        return CredentialsRefusedError(
            f"Segment's OAuth server gives no token ({said}). Nothing was rejected. Check "
            "SEGMENT_OAUTH_CLIENT_ID, SEGMENT_OAUTH_KEY_ID and SEGMENT_OAUTH_KEY_FILE."
        )
    if verdict.http_status in {401, 403}:
        return CredentialsRefusedError(
            f"Segment at {host} refuses the write key ({said}). Nothing was rejected. Check "
            "SEGMENT_WRITE_KEY, and that SEGMENT_HOST is the region of the workspace."
        )
    return ConfigurationError(
        f"{host} does not behave like Segment ({said}). Nothing was rejected. Check "
        "SEGMENT_HOST, and whether a proxy stands in between."
    )
