"""Settings: one class per section of luigi.cfg.

A value is looked up in this order: command line (`--clickhouse-host`), environment variable,
luigi.cfg, default. An empty environment variable counts as not set.

Secrets are not parameters, because Luigi shows parameters in its UI, its logs and its history:
`write_key()`, `clickhouse_password()` and `luigi_password()` read them at the moment of use, from
an environment variable such as SEGMENT_WRITE_KEY or the file that SEGMENT_WRITE_KEY_FILE names.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from configparser import RawConfigParser
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import luigi
import luigi.worker
from luigi.configuration import get_config

from luigi_tasks.errors import ConfigurationError
from luigi_tasks.plain_text import has_control_character, plain

PROJECT_ROOT = Path(__file__).resolve().parent.parent
"""The directory of dbt_project.yml in a checkout of this repository."""

TRUE_WORDS = frozenset({"true", "1", "yes", "on"})
FALSE_WORDS = frozenset({"false", "0", "no", "off"})

PLACEHOLDER_NAMESPACE = "retailpro-sandbox"
"""The default of the dbt macro segment_namespace too."""

OUR_VARIABLES = (
    "CLICKHOUSE_",
    "DBT_",
    "DOCS_PORT",
    "LUIGI_",
    "RETAIL_PRO_",
    "SANDBOX_",
    "SEGMENT_",
)
"""Beginnings of the names of the environment variables that are settings here."""

LUIGI_USER = "luigi"
"""The name that goes with LUIGI_PASSWORD."""

SEGMENT_CDN = "https://cdn.segment.com"
"""For all regions."""


def _to_bool(text: str) -> bool:
    word = text.strip().lower()
    if word in TRUE_WORDS:
        return True
    if word in FALSE_WORDS:
        return False
    raise ValueError(f"{text!r} is neither true nor false")


def refuse_control_characters(environment: Mapping[str, str] = os.environ) -> None:
    """Refuse control characters in settings, such as a line end in the name of a database.

    Raises:
        ConfigurationError: A setting of the environment has a control character.
    """
    bad = sorted(
        name
        for name, value in environment.items()
        if name.startswith(OUR_VARIABLES) and has_control_character(value)
    )
    if bad:
        raise ConfigurationError(
            f"A control character stands in the environment variable {', '.join(bad)}. An "
            "environment file with Windows line ends (CRLF) is the usual reason: convert it, for "
            "example with `sed -i 's/\\r$//' FILE`, and load it again."
        )


class _FromEnvironment:
    """Lets an environment variable win over luigi.cfg.

    Luigi asks a parameter for the value in the configuration file after the command line and
    before the default. This is the place where the environment belongs.
    """

    variable: str
    parse_text: Callable[[str], Any]

    def normalize(self, value: Any) -> Any:
        """Refuse a control character, wherever the value comes from."""
        value = super().normalize(value)  # type: ignore[misc]
        if isinstance(value, str) and has_control_character(value):
            raise ConfigurationError(
                f"A control character stands in {self.variable}, or in the setting of luigi.cfg or "
                f"the option that stands for it: {plain(value, 100)}. Remove it."
            )
        return value

    def _get_value_from_config(self, section: str, name: str) -> Any:
        refuse_control_characters()
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


class EnvChoiceParameter(_FromEnvironment, luigi.ChoiceParameter):
    """One of some words, that the environment variable `variable` overrides."""

    def __init__(self, variable: str, **kwargs: Any) -> None:
        self.variable = variable
        self.parse_text = self.parse
        super().__init__(**kwargs)


class clickhouse(luigi.Config):  # noqa: N801 - the class name is the section of luigi.cfg
    """Where ClickHouse is. The password is a secret: `clickhouse_password()`."""

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
    cluster = EnvStrParameter(
        "CLICKHOUSE_CLUSTER",
        default="",
        description="Name of a replicated cluster; empty: one server. Env: CLICKHOUSE_CLUSTER.",
    )
    send_receive_timeout = luigi.IntParameter(
        default=120,
        description="Seconds to wait for a sign of an answer to a query. A server that works at "
        "one sends such signs, so the query itself may take longer.",
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
    absent_columns = EnvStrParameter(
        "RETAIL_PRO_ABSENT_COLUMNS",
        default="",
        description="Columns that this shop's export does not have, each with its table, such as "
        "document.SHIP_METHOD,customer.LTY_BALANCE; an export without another well-known column is "
        "refused. Env: RETAIL_PRO_ABSENT_COLUMNS.",
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
    """How requests to Segment are made. The write key is a secret: `write_key()`."""

    host = EnvStrParameter(
        "SEGMENT_HOST",
        default="https://api.segment.io",
        description="Base URL without /v1; EU: https://events.eu1.segmentapis.com. "
        "Env: SEGMENT_HOST.",
    )
    cdn_host = EnvStrParameter(
        "SEGMENT_CDN_HOST",
        default="",
        description="Base URL of the settings of sources; empty: Segment's own, or SEGMENT_HOST "
        "when that is on this machine. Env: SEGMENT_CDN_HOST.",
    )
    namespace = EnvStrParameter(
        "SEGMENT_NAMESPACE",
        default=PLACEHOLDER_NAMESPACE,
        description="First part of every message id; dbt gets it from here. "
        "Env: SEGMENT_NAMESPACE.",
    )
    debug = EnvBoolParameter(
        "SEGMENT_DEBUG",
        default=False,
        description="Log requests and answers, personal data included, never the write key. "
        "Env: SEGMENT_DEBUG.",
    )
    oauth_client_id = EnvStrParameter(
        "SEGMENT_OAUTH_CLIENT_ID",
        default="",
        description="Id of the OAuth application; empty: no OAuth. Env: SEGMENT_OAUTH_CLIENT_ID.",
    )
    oauth_key_id = EnvStrParameter(
        "SEGMENT_OAUTH_KEY_ID",
        default="",
        description="Id of its key. Env: SEGMENT_OAUTH_KEY_ID.",
    )
    oauth_key_file = EnvStrParameter(
        "SEGMENT_OAUTH_KEY_FILE",
        default="",
        description="Path of its private key (PEM). Env: SEGMENT_OAUTH_KEY_FILE.",
    )
    oauth_server = EnvStrParameter(
        "SEGMENT_OAUTH_SERVER",
        default="",
        description="Base URL of the token server; empty: that of the region of SEGMENT_HOST. "
        "Env: SEGMENT_OAUTH_SERVER.",
    )
    transport = EnvChoiceParameter(
        "SEGMENT_TRANSPORT",
        choices=("sdk", "wire"),
        default="sdk",
        description="sdk: the SDK encodes the messages again; wire: the text that ClickHouse "
        "rendered goes out as it is, without being parsed and encoded. Env: SEGMENT_TRANSPORT.",
    )
    connect_timeout_seconds = luigi.FloatParameter(
        default=5.0, description="Seconds to wait for a connection."
    )
    timeout_seconds = luigi.FloatParameter(
        default=15.0, description="Seconds to wait for each read of an answer."
    )
    request_seconds = luigi.FloatParameter(
        default=30.0, description="Longest time of a request with its answer, in seconds."
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
    connections = EnvIntParameter(
        "SEGMENT_CONNECTIONS",
        default=1,
        description="Requests under way at the same time, 1 to 10. All messages of a user take the "
        "same connection, so their order is kept. Env: SEGMENT_CONNECTIONS.",
    )
    page_messages = luigi.IntParameter(
        default=10_000, description="Messages read from the outbox at a time; bounds the memory."
    )
    retry_first_wait_seconds = luigi.FloatParameter(
        default=0.5, description="Wait before the second attempt; doubled each time, plus jitter."
    )
    retry_longest_wait_seconds = luigi.FloatParameter(
        default=4.0,
        description="Longest wait between attempts, hence what an outage costs beyond its length; "
        "Retry-After may be longer.",
    )
    retry_budget_seconds = luigi.FloatParameter(
        default=300.0,
        description="Seconds that a task may lose to failed requests and waits before it fails.",
    )
    transient_days = luigi.IntParameter(
        default=3,
        description="Days for which a message that Segment alone does not take is tried again, "
        "before it is recorded as rejected.",
    )
    ledger_rows = luigi.IntParameter(
        default=20_000, description="Most results that are held before they are recorded."
    )
    ledger_seconds = luigi.FloatParameter(
        default=1.0, description="Longest time that results are held before they are recorded."
    )
    clickhouse_patience_seconds = luigi.FloatParameter(
        default=120.0,
        description="Seconds to wait for ClickHouse to come back, above all to take results.",
    )
    dedupe_window_hours = luigi.FloatParameter(
        default=24.0,
        description="How long Segment recognises a messageId; older doubts cause a warning.",
    )
    sample_messages = luigi.IntParameter(
        default=2, description="Messages that a dry run shows per event."
    )
    watermark_lag_seconds = luigi.IntParameter(
        default=3600,
        description="The outbox watermark stays this far behind the clock, "
        "so that it cannot pass rows of a build that is still inserting.",
    )


class sync(luigi.Config):  # noqa: N801
    """How runs in the same slot belong together; see luigi_tasks/runs/markers.py."""

    once_per_slot = luigi.BoolParameter(
        default=False,
        parsing=luigi.BoolParameter.EXPLICIT_PARSING,
        description="What any run has finished in the current slot is finished: for several hosts "
        "that run the same command. Default: each command does all of it again.",
    )


class readiness(luigi.Config):  # noqa: N801
    """What is checked before a run; see luigi_tasks/segment/readiness.py."""

    check_source = luigi.BoolParameter(
        default=True,
        parsing=luigi.BoolParameter.EXPLICIT_PARSING,
        description="Ask Segment's CDN whether it knows the write key, and for which region.",
    )
    longest_clock_offset_seconds = luigi.FloatParameter(
        default=60.0,
        description="A run is refused when this machine's clock is further from ClickHouse's or "
        "Segment's than this.",
    )


class lease(luigi.Config):  # noqa: N801
    """How runs keep out of each other's way; see luigi_tasks/runs/lease.py."""

    seconds = luigi.FloatParameter(
        default=60.0,
        description="How long a lease outlives its last sign of life, which comes three times in "
        "that time.",
    )
    wait_seconds = luigi.FloatParameter(
        default=120.0,
        description="How long a run waits for another one before it leaves; longer than a lease "
        "lives, or a run that was killed on another host costs the next one.",
    )


class brake(luigi.Config):  # noqa: N801
    """When a run refuses to send because it looks like a mistake: preview/brake.py."""

    most_resent_share = luigi.FloatParameter(
        default=0.3,
        description="Largest share of the customers known to Segment, 0 to 1, that a run may send "
        "again.",
    )
    most_usual_days = luigi.FloatParameter(
        default=10.0,
        description="Most pending messages of a call, as a multiple of a usual day: the median of "
        "the days with messages in the last four weeks.",
    )
    history_days = luigi.IntParameter(
        default=7,
        description="Days with messages that make a usual day; before that the second limit does "
        "not apply.",
    )
    smallest_stop = luigi.IntParameter(
        default=100, description="Fewer pending messages of a call than this are always sent."
    )
    go_on = luigi.BoolParameter(
        default=False,
        description="Send what is pending now, whatever it looks like: --brake-go-on.",
    )


def lease_wait_seconds() -> float:
    """Return how long a run waits for another one before it leaves.

    A worker that is kept alive waits for a lease as long as it would wait for work from luigid.
    """
    worker = luigi.worker.worker()
    idle = worker.max_keep_alive_idle_duration.total_seconds() if worker.keep_alive else 0.0
    return max(float(lease().wait_seconds), float(idle))


def secret(variable: str) -> str:
    """Return the value of an environment variable, or the content of the file that it names.

    Args:
        variable: The name of the variable; the path of a file is in `<variable>_FILE`.

    Raises:
        ConfigurationError: Both are set, or the file cannot be read or is empty. An empty file is
            an accident, and would mean a dry run or no password. Or there is a control character.
    """
    refuse_control_characters()
    value, path = os.environ.get(variable, ""), os.environ.get(f"{variable}_FILE", "")
    if not path:
        return value
    if value:
        raise ConfigurationError(f"Both {variable} and {variable}_FILE are set. Unset one of them.")
    try:
        content = Path(path).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"{variable}_FILE is {path!r}, which cannot be read ({type(error).__name__}). "
            "It must be a text file that this user may read, with nothing but the secret in it."
        ) from error
    if not content:
        raise ConfigurationError(f"{variable}_FILE is {path!r}, which is empty.")
    if has_control_character(content):
        raise ConfigurationError(
            f"{variable}_FILE is {path!r}, which holds more than one line, or a control character."
        )
    return content


def write_key() -> str:
    """Return Segment's write key, or an empty text, which means a dry run."""
    return secret("SEGMENT_WRITE_KEY").strip()


def is_dry_run() -> bool:
    """Tell whether there is no write key, so that nothing may be sent or recorded."""
    return not write_key()


def clickhouse_password() -> str:
    """Return the password of the ClickHouse user; empty for none."""
    return secret("CLICKHOUSE_PASSWORD")


def luigi_password() -> str:
    """Return the password of Luigi's central scheduler; empty for none."""
    return secret("LUIGI_PASSWORD")


def is_sandbox(segment_host: str) -> bool:
    """Tell whether `segment_host` is on this machine, which Segment itself never is."""
    return is_this_machine(urlsplit(segment_host).hostname or "")


def is_this_machine(host: str) -> bool:
    """Tell whether a host name is that of this machine."""
    return host in {"127.0.0.1", "localhost", "::1"}


def segment_cdn() -> str:
    """Return the base URL of the settings of sources."""
    settings = segment()
    own = settings.host if is_sandbox(settings.host) else SEGMENT_CDN
    return str(settings.cdn_host or own).rstrip("/")


def use_luigi_cfg_of_the_checkout() -> None:
    """Let the luigi.cfg beside this package hold from whichever directory a command is started.

    Luigi reads the one of the current directory only, so that exit codes, among others, would be
    Luigi's own elsewhere. What another file of settings says wins. Called when the package is
    imported, which is before Luigi reads its settings and exit codes.
    """
    own = RawConfigParser()
    own.read(PROJECT_ROOT / "luigi.cfg", encoding="utf-8")
    for section in own.sections():
        for option, value in own.items(section):
            if not get_config().has_option(section, option):
                get_config().set(section, option, value)


def follow_scheduler_variables() -> None:
    """Let LUIGI_HOST and LUIGI_PORT win over `[core] scheduler_host` and `scheduler_port`.

    Luigi can interpolate `${LUIGI_PORT}` in luigi.cfg, but fails when the variable is missing.
    Called when the package is imported, which is before Luigi reads its own settings. The options
    `--scheduler-host` and `--scheduler-port` still win over both.
    """
    for variable, name in (("LUIGI_HOST", "scheduler_host"), ("LUIGI_PORT", "scheduler_port")):
        if value := os.environ.get(variable, ""):
            get_config().set("core", name, value)
