"""The sign of life of a sync: it got as far as its report, so all that could be sent was sent.

`deploy/run_every.py` names a file to each run that it starts. Whoever watches the schedule looks at
the time of that file, and not at exit codes: one stuck message makes every run end red for days,
and all others are sent.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

logger = logging.getLogger("luigi-interface.heartbeat")

FILE_VARIABLE = "RUN_EVERY_HEARTBEAT"
"""Set by run_every.py for its child only; no setting of users."""


def beat() -> None:
    """Touch the file of the schedule that started this run, if one did."""
    path = os.environ.get(FILE_VARIABLE)
    if not path:
        return
    try:
        Path(path).touch()
    except OSError as error:
        logger.warning("The schedule cannot be shown that this run is well: %s", error)
