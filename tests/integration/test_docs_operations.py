"""docs/operations.md: every statement runs on what the pipeline builds, every command exists.

That the commands do what the guide says is tested in test_operations.py and test_brake.py.
"""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys

import httpx
import pytest
import yaml

import luigi_tasks
from luigi_tasks import config, errors
from tests.conftest import ClickHouseServer
from tests.processes import PROJECT, clean_environment

GUIDE = PROJECT / "docs" / "operations.md"
OUTPUT, LANDING = "docs_operations", "docs_operations_landing"


def statements() -> dict[str, str]:
    """The SQL blocks of the guide by the heading above them."""
    found: dict[str, str] = {}
    heading = ""
    for match in re.finditer(r"(?ms)^#+ ([^\n]+)$|^```sql\n(.*?)^```", GUIDE.read_text()):
        if match[1]:
            heading = match[1]
        else:
            assert heading not in found, f"two statements under {heading!r}"
            found[heading] = match[2]
    return found


@pytest.fixture(scope="module")
def server(
    clickhouse_server: ClickHouseServer, tmp_path_factory: pytest.TempPathFactory
) -> ClickHouseServer:
    """A server with the sample loaded and the outbox built, in databases of this module's own."""
    directory = tmp_path_factory.mktemp("docs")
    environment = (
        clean_environment() | clickhouse_server.environment | {"CLICKHOUSE_DATABASE": OUTPUT}
    )
    luigi = [sys.executable, "-m", "luigi", "--module", "luigi_tasks"]
    load = [
        *(*luigi, "LoadExport", "--directory", str(PROJECT / "seeds" / "sample")),
        *("--retail-pro-landing-database", LANDING, "--local-scheduler"),
    ]
    # Without a write key: the outbox is built, markers are written, nothing is sent.
    dry_run = [
        *(*luigi, "SyncToSegment", "--dbt-target-path", str(directory / "target")),
        *("--dbt-log-path", str(directory / "logs"), "--local-scheduler"),
    ]
    for command in (load, dry_run):
        result = subprocess.run(
            command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False
        )
        assert result.returncode == 0, result.stdout + result.stderr
    return clickhouse_server


def run(server: ClickHouseServer, sql: str) -> httpx.Response:
    sql = re.sub(r"\bretail_pro(?=[.'])", LANDING, sql)
    sql = re.sub(r"\bretail(?=[.'])", OUTPUT, sql)
    return httpx.post(
        server.url, params={"default_format": "JSON"}, content=sql, trust_env=False, timeout=60
    )


@pytest.mark.parametrize("heading", statements())
def test_the_statement_runs(server: ClickHouseServer, heading: str) -> None:
    answer = run(server, statements()[heading])
    assert answer.status_code == 200, answer.text


def test_the_books_balance_before_anything_is_sent(server: ClickHouseServer) -> None:
    rows = run(server, statements()["Ledger against outbox"]).json()["data"]
    assert {row["call"] for row in rows} == {"identify", "track"}
    for row in rows:
        assert int(row["due"]) == int(row["pending"]) > 0
        assert int(row["difference"]) == 0


def test_the_balance_finds_a_message_that_was_left_behind(server: ClickHouseServer) -> None:
    """A watermark that ran ahead hides what is not settled; the balance must say so."""
    watermark = (
        "insert into retail.segment_outbox_watermarks"
        " select 'track', max(enqueued_at), now64(6, 'UTC') from retail.segment_track_events"
    )
    assert run(server, watermark).status_code == 200
    try:
        rows = run(server, statements()["Ledger against outbox"]).json()["data"]
        assert {row["call"]: int(row["difference"]) > 0 for row in rows} == {
            "identify": False,
            "track": True,
        }
    finally:
        run(server, "truncate table retail.segment_outbox_watermarks")


def test_the_operations_and_their_arguments_exist() -> None:
    described = yaml.safe_load((PROJECT / "macros/operations/_operations__macros.yml").read_text())
    known = {
        macro["name"]: {argument["name"] for argument in macro.get("arguments", [])}
        for macro in described["macros"]
    }
    used = re.findall(r"dbt run-operation (\w+)(?: --args '(.*)')?", GUIDE.read_text())
    assert {name for name, _ in used} >= {
        *("requeue", "retry_rejected", "resolve", "withdraw", "purge_ledger", "reconcile")
    }
    for name, arguments in used:
        assert set(yaml.safe_load(arguments or "{}")) <= known[name], name


def test_the_tasks_modules_and_options_exist() -> None:
    text = GUIDE.read_text()
    tasks = set(re.findall(r"luigi --module luigi_tasks (\w+)", text))
    assert tasks <= set(luigi_tasks.__all__)
    for module in re.findall(r"python -m (luigi_tasks\.\w+)", text):
        assert importlib.util.find_spec(module), module
    for section, option in re.findall(r"--(brake|delivery)-([\w-]+)", text):
        assert option.replace("-", "_") in dict(getattr(config, section).get_params()), option
    for error in re.findall(r"^ +(\w+Error):", text, re.MULTILINE):
        assert hasattr(errors, error), error


def test_the_links_within_the_guide_lead_somewhere() -> None:
    text = GUIDE.read_text()
    anchors = {
        re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    }
    assert set(re.findall(r"\]\(#([^)]*)\)", text)) <= anchors
