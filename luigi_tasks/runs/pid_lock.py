"""Luigi's lock by which a command runs once at a time: where it is.

Luigi makes a file named after the command line, in one directory for all users, `/tmp/luigi`. The
same command line with another environment is another pipeline, though. So the directory is this
user's own, and named after the pipeline too: the ClickHouse server, the databases and the namespace
of its messages.
"""

from __future__ import annotations

import getpass
import hashlib
import os
import tempfile
from pathlib import Path

from luigi.configuration import get_config

PIPELINE = (
    ("CLICKHOUSE_HOST", "clickhouse", "host"),
    ("CLICKHOUSE_PORT", "clickhouse", "port"),
    ("CLICKHOUSE_DATABASE", "clickhouse", "database"),
    ("RETAIL_PRO_DATABASE", "retail_pro", "landing_database"),
    ("SEGMENT_HOST", "segment", "host"),
    ("SEGMENT_NAMESPACE", "segment", "namespace"),
)
"""What tells pipelines apart, by environment variable, section and name. Options need not be here:
they are part of the command line."""


def use() -> None:
    """Set Luigi's `[core] lock_pid_dir`, unless luigi.cfg does; `--lock-pid-dir` wins over both.

    Called when the package is imported, which is before Luigi reads it.
    """
    if not get_config().has_option("core", "lock_pid_dir"):
        get_config().set("core", "lock_pid_dir", str(directory()))


def directory() -> Path:
    """Return the directory for this user and pipeline. Luigi makes it, for this user only."""
    settings = get_config()
    texts = [
        os.environ.get(variable, "") or settings.get(section, name, "")
        for variable, section, name in PIPELINE
    ]
    pipeline = hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]
    user = os.getuid() if hasattr(os, "getuid") else getpass.getuser()
    return Path(tempfile.gettempdir()) / f"retail-pro-segment-{user}-{pipeline}"
