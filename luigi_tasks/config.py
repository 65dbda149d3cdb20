"""Settings: one class per section of luigi.cfg.

A value is looked up in this order: command line (`--clickhouse-host`), environment variable,
luigi.cfg, default. An empty environment variable counts as not set.

Secrets are not parameters, because Luigi shows parameters in its UI, its logs and its history:
`write_key()` and `clickhouse_password()` read them from the environment at the moment of use.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import luigi
from luigi.configuration import get_config

from luigi_tasks.errors import ConfigurationError

PROJECT_ROOT = Path(__file__).resolve().parent.parent
"""The directory of dbt_project.yml in a checkout of this repository."""

TRUE_WORDS = frozenset({"true", "1", "yes", "on"})
FALSE_WORDS = frozenset({"false", "0", "no", "off"})


def _to_bool(text: str) -> bool:
    word = text.strip().lower()
    if word in TRUE_WORDS:
        return True
    if word in FALSE_WORDS:
        return False
    raise ValueError(f"{text!r} is neither true nor false")


class _FromEnvironment:
    """Lets an environment variable win over luigi.cfg.

    Luigi asks a parameter for the value in the configuration file after the command line and
    before the default. This is the place where the environment belongs.
    """

    variable: str
    parse_text: Callable[[str], Any]

    def _get_value_from_config(self, section: str, name: str) -> Any:
        text = os.environ.get(self.variable, "")
        if not text:
            return super()._get_value_from_config(section, name)  # type: ignore[misc]
        try:
            return self.parse_text(text)
        except ValueError as error:
            raise ConfigurationError(
                f"The environment variable {self.variable} cannot be used: {error}. "
                "Correct it, or unset it to use luigi.cfg."
            ) from error


class EnvStrParameter(_FromEnvironment, luigi.StrParameter):
    """A text that the environment variable `variable` overrides."""

    def __init__(self, variable: str, **kwargs: Any) -> None:
        self.variable = variable
        self.parse_text = str
        super().__init__(**kwargs)


class EnvIntParameter(_FromEnvironment, luigi.IntParameter):
    """A whole number that the environment variable `variable` overrides."""

    def __init__(self, variable: str, **kwargs: Any) -> None:
        self.variable = variable
        self.parse_text = int
        super().__init__(**kwargs)


class EnvBoolParameter(_FromEnvironment, luigi.BoolParameter):
    """A yes or no that the environment variable `variable` overrides."""

    def __init__(self, variable: str, **kwargs: Any) -> None:
        self.variable = variable
        self.parse_text = _to_bool
        super().__init__(parsing=luigi.BoolParameter.EXPLICIT_PARSING, **kwargs)


class clickhouse(luigi.Config):  # noqa: N801 - the class name is the section of luigi.cfg
    """Where ClickHouse is. The password comes from CLICKHOUSE_PASSWORD alone."""

    host = EnvStrParameter(
        "CLICKHOUSE_HOST", default="127.0.0.1", description="Host name. Env: CLICKHOUSE_HOST."
    )
    port = EnvIntParameter(
        "CLICKHOUSE_PORT", default=8123, description="HTTP(S) port. Env: CLICKHOUSE_PORT."
    )
    user = EnvStrParameter(
        "CLICKHOUSE_USER", default="default", description="User name. Env: CLICKHOUSE_USER."
    )
    secure = EnvBoolParameter(
        "CLICKHOUSE_SECURE", default=False, description="Use TLS. Env: CLICKHOUSE_SECURE."
    )
    database = EnvStrParameter(
        "CLICKHOUSE_DATABASE",
        default="retail",
        description="Database of the outbox, the ledger and the markers. Env: CLICKHOUSE_DATABASE.",
    )
    send_receive_timeout = luigi.IntParameter(
        default=300, description="Seconds to wait for an answer to a query."
    )


class retail_pro(luigi.Config):  # noqa: N801
    """Where the Retail Pro data comes from."""

    export_dir = EnvStrParameter(
        "RETAIL_PRO_EXPORT_DIR",
        default="",
        description="Directory of the CSV export; empty: no export is loaded. "
        "Env: RETAIL_PRO_EXPORT_DIR.",
    )
    landing_database = EnvStrParameter(
        "RETAIL_PRO_DATABASE",
        default="retail_pro",
        description="Database of the landing tables. Env: RETAIL_PRO_DATABASE.",
    )


class dbt(luigi.Config):  # noqa: N801
    """How `dbt build` is started."""

    project_dir = EnvStrParameter(
        "DBT_PROJECT_DIR",
        default=str(PROJECT_ROOT),
        description="Directory of dbt_project.yml. Env: DBT_PROJECT_DIR.",
    )
    target_path = EnvStrParameter(
        "DBT_TARGET_PATH",
        default="target/luigi",
        description="Where dbt writes its artefacts; kept, so that it parses only what changed. "
        "Env: DBT_TARGET_PATH.",
    )
    log_path = EnvStrParameter(
        "DBT_LOG_PATH",
        default="logs/luigi",
        description="Where dbt writes dbt.log. Env: DBT_LOG_PATH.",
    )
    stop_seconds = luigi.FloatParameter(
        default=20.0, description="Seconds that dbt gets to stop by itself before it is killed."
    )


class segment(luigi.Config):  # noqa: N801
    """How requests to Segment are made. The write key comes from SEGMENT_WRITE_KEY alone."""

    host = EnvStrParameter(
        "SEGMENT_HOST",
        default="https://api.segment.io",
        description="Base URL without /v1; EU: https://events.eu1.segmentapis.com. "
        "Env: SEGMENT_HOST.",
    )
    debug = EnvBoolParameter(
        "SEGMENT_DEBUG",
        default=False,
        description="Log requests and answers, personal data included, never the write key. "
        "Env: SEGMENT_DEBUG.",
    )
    timeout_seconds = luigi.FloatParameter(
        default=15.0, description="Seconds to wait for a connection, and for each read."
    )
    batch_messages = luigi.IntParameter(
        default=100, description="Most messages per request; Segment drops all above 2,500."
    )
    batch_bytes = luigi.IntParameter(
        default=475_000, description="Most bytes per request body; Segment refuses above 500 KB."
    )


class delivery(luigi.Config):  # noqa: N801
    """How the outbox is drained."""

    events_per_second = luigi.FloatParameter(
        default=1000.0, description="Most messages per second; Segment recommends 1,000."
    )
    page_messages = luigi.IntParameter(
        default=2000, description="Messages read from the outbox at a time; bounds the memory."
    )
    retry_attempts = luigi.IntParameter(
        default=6, description="Attempts per batch before the task gives up."
    )
    retry_first_wait_seconds = luigi.FloatParameter(
        default=0.5, description="Wait before the second attempt; doubled each time, plus jitter."
    )
    retry_longest_wait_seconds = luigi.FloatParameter(
        default=30.0, description="Longest wait between attempts; Retry-After may be longer."
    )
    retry_budget_seconds = luigi.FloatParameter(
        default=300.0, description="Seconds after which a task stops retrying and fails."
    )
    sample_messages = luigi.IntParameter(
        default=2, description="Messages that a dry run shows per event."
    )
    watermark_lag_seconds = luigi.IntParameter(
        default=3600,
        description="The outbox watermark stays this far behind the clock, "
        "so that it cannot pass rows of a build that is still inserting.",
    )


def write_key() -> str:
    """Return Segment's write key, or an empty text, which means a dry run."""
    return os.environ.get("SEGMENT_WRITE_KEY", "").strip()


def is_dry_run() -> bool:
    """Tell whether there is no write key, so that nothing may be sent or recorded."""
    return not write_key()


def clickhouse_password() -> str:
    """Return the password of the ClickHouse user; empty for none."""
    return os.environ.get("CLICKHOUSE_PASSWORD", "")


def is_sandbox(segment_host: str) -> bool:
    """Tell whether `segment_host` is on this machine, which Segment itself never is."""
    return urlsplit(segment_host).hostname in {"127.0.0.1", "localhost", "::1"}


def follow_scheduler_variables() -> None:
    """Let LUIGI_HOST and LUIGI_PORT win over `[core] scheduler_host` and `scheduler_port`.

    Luigi can interpolate `${LUIGI_PORT}` in luigi.cfg, but fails when the variable is missing.
    Called when the package is imported, which is before Luigi reads its own settings. The options
    `--scheduler-host` and `--scheduler-port` still win over both.
    """
    for variable, name in (("LUIGI_HOST", "scheduler_host"), ("LUIGI_PORT", "scheduler_port")):
        if value := os.environ.get(variable, ""):
            get_config().set("core", name, value)
