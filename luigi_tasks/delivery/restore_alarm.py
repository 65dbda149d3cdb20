"""The restore alarm: notices that the ledger is older than what this machine has seen accepted.

After ClickHouse was restored from an older backup, everything that was sent since the backup is due
again, and nothing in ClickHouse says so. Segment itself does not tell a repeated message from a new
one beyond its dedupe window. So each run that sends leaves a note outside ClickHouse: the newest
`enqueued_at` that Segment has accepted, per database and namespace, in a small file among the
artefacts of the sync. It is an alarm and never a cursor: nothing is sent or skipped because of it,
and without the file nothing is noticed.
"""

from __future__ import annotations

import json
import logging
from datetime import datetime
from pathlib import Path

from luigi_tasks import config
from luigi_tasks.clickhouse import queries
from luigi_tasks.runs.markers import EPOCH

logger = logging.getLogger("luigi-interface.restore_alarm")

FILE_NAME = "newest-accepted.json"


def warnings() -> dict[str, str]:
    """Return for each call whose ledger is older than this machine's note a sentence about it."""
    return {
        call: (
            f"This machine has seen Segment accept {call} messages that entered the outbox up to "
            f"{seen:%Y-%m-%d %H:%M:%S} UTC, and the ledger holds none of that time. ClickHouse was "
            "probably restored from an older backup: what was sent since then would be sent again "
            "(docs/backup.md)."
        )
        for call, seen in _read().items()
        if not _is_known(call, seen)
    }


def remember(call: str) -> None:
    """Note the newest message of a call that Segment has accepted."""
    noted = _read()
    [(newest,)] = queries.rows("ledger_newest", call=call, since=noted.get(call, EPOCH))
    if newest <= noted.get(call, EPOCH):
        return
    path = _path()
    everything = _read_file(path)
    everything[_key()] = {name: at.isoformat() for name, at in (noted | {call: newest}).items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(everything, indent=1), encoding="utf-8")
    partial.replace(path)


def _is_known(call: str, seen: datetime) -> bool:
    """Tell whether the ledger reaches up to a time, or has been purged beyond it."""
    [(newest, purged_until)] = queries.rows("ledger_reach", call=call, since=seen)
    return bool(newest >= seen or purged_until >= seen)


def _path() -> Path:
    settings = config.dbt()
    return Path(settings.project_dir) / settings.target_path / FILE_NAME


def _key() -> str:
    server = config.clickhouse()
    return f"{server.host}:{server.port}/{server.database} {config.segment().namespace}"


def _read() -> dict[str, datetime]:
    """Return the newest accepted `enqueued_at` per call, as noted for this database."""
    found = _read_file(_path()).get(_key(), {})
    return {call: datetime.fromisoformat(at) for call, at in found.items()}


def _read_file(path: Path) -> dict[str, dict[str, str]]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        for noted in found.values():
            for at in noted.values():
                datetime.fromisoformat(at)
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, AttributeError) as error:
        logger.warning(
            "%s cannot be read (%s): until the next message is accepted, a restored backup is not "
            "noticed.",
            path,
            error,
        )
        return {}
    return dict(found)
