"""The errors of this package.

Two families: `RetryableError` (the next run may succeed with nothing changed) and `TerminalError`
(somebody has to change something first). The docstring of a class is its default message; every
message says what happened and what to do next.
"""

from __future__ import annotations

import inspect


class PipelineError(Exception):
    """The sync failed. Read the messages above, then run it again."""

    def __init__(self, message: str | None = None) -> None:
        """Use `message`, or the docstring of the class when there is none."""
        super().__init__(message or " ".join((inspect.getdoc(type(self)) or "").split()))


class RetryableError(PipelineError):
    """Something was away for a moment. Run the same command again: it goes on where it stopped."""


class TerminalError(PipelineError):
    """Something has to be changed before another run can succeed."""


class ClickHouseUnavailableError(RetryableError):
    """ClickHouse did not answer. Start the local one with `make up`, or set CLICKHOUSE_HOST."""


class SegmentUnavailableError(RetryableError):
    """Segment did not take everything. The rest stays in the outbox: run the command again."""


class LedgerUnwrittenError(RetryableError):
    """Results could not be recorded. They go out again with the same ids: run the command again."""


class AnotherRunError(RetryableError):
    """Another run is building or sending. Let it finish; the next run sends what is left."""


class LeaseLostError(RetryableError):
    """This run paused for too long and another one may have begun. Run the command again."""


class MessagesStuckError(RetryableError):
    """Segment does not take some messages, and takes others. The next run sends them again."""


class ConfigurationError(TerminalError):
    """A setting cannot be used. Correct it in the environment or in luigi.cfg."""


class CredentialsRefusedError(TerminalError):
    """The credentials were refused. Check the user name, password or write key, then run again."""


class BuildFailedError(TerminalError):
    """`dbt build` failed, so nothing was sent. Put right what it names, then run again."""


class OutboxMissingError(TerminalError):
    """The outbox does not exist. Run `dbt build` once, or the BuildOutbox task."""


class EverythingRejectedError(TerminalError):
    """Segment rejected every message. Check the write key and SEGMENT_HOST, then run again."""


class BrakeError(TerminalError):
    """The run would send more than usual. Look at PlanSync, then run again with --brake-go-on."""


class Stopped(SystemExit):
    """Stopped by a signal. Nothing is lost: the next run goes on where this one stopped."""


def expected_sentence(error: BaseException) -> str | None:
    """Return what an expected error says, which is all that a person needs of it; else None."""
    if isinstance(error, Stopped):
        return inspect.getdoc(Stopped)
    if isinstance(error, PipelineError):
        return str(error)
    # Luigi raises an error of its own from that of a setting which cannot be read.
    return expected_sentence(error.__cause__) if error.__cause__ else None
