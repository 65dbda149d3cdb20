"""README.md and the guides: every statement and example runs on the sample, every command exists.

That the commands do what the guides say is tested in test_operations.py and test_brake.py.
"""

from __future__ import annotations

import importlib.util
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import httpx
import pytest
import yaml
from dbt.cli.main import dbtRunner, dbtRunnerResult

import luigi_tasks
from luigi_tasks import config, errors
from tests.conftest import ClickHouseServer
from tests.processes import PROJECT, clean_environment

GUIDE = PROJECT / "docs" / "operations.md"
GUIDES = (PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md")))
OPERATIONS = sorted((PROJECT / "macros" / "operations").glob("*"))
SAMPLE = PROJECT / "seeds" / "sample"
OUTPUT, LANDING = "docs_operations", "docs_operations_landing"
SID = r"(?<![\d.])\d{18}(?![\d.])"

# dbt's Jinja reads the regular expressions in the macros as text of Python.
pytestmark = pytest.mark.filterwarnings("ignore:invalid escape sequence:DeprecationWarning")


def statements() -> dict[str, str]:
    """The SQL statements of the guides, by guide, the heading above them, and number."""
    found: dict[str, str] = {}
    for guide in GUIDES:
        heading = ""
        for match in re.finditer(r"(?ms)^#+ ([^\n]+)$|^```sql\n(.*?)^```", guide.read_text()):
            if match[1]:
                heading, number = match[1], 0
                continue
            for statement in re.sub(r"(?m)^--.*\n", "", match[2]).split(";\n"):
                if statement.strip():
                    number += 1
                    found[f"{guide.name} {heading} {number}"] = statement
    return found


def examples() -> list[tuple[str, str]]:
    """The examples of operations, (name, arguments), in the guides and beside the operations."""
    text = "\n".join(file.read_text() for file in (*GUIDES, *OPERATIONS))
    found = re.findall(r"run-operation\s+(\w+)\s+--args\s+'(\{[^']*\})'", text)
    return sorted({(name, " ".join(arguments.split())) for name, arguments in found})


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where dbt keeps its files."""
    return tmp_path_factory.mktemp("docs")


@pytest.fixture(scope="module")
def server(clickhouse_server: ClickHouseServer, directory: Path) -> ClickHouseServer:
    """A server with the sample loaded and the outbox built, in databases of this module's own."""
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


@pytest.mark.parametrize("where", statements())
def test_the_statement_runs(server: ClickHouseServer, where: str) -> None:
    sql = statements()[where]
    answer = run(server, sql)
    assert answer.status_code == 200, answer.text
    if re.search(SID, sql):
        assert answer.json()["data"], "the sample has nothing of this SID"


def test_ids_in_the_guides_are_of_the_sample() -> None:
    sample = "".join(file.read_text() for file in SAMPLE.glob("*.csv"))
    known = set(re.findall(SID, sample))
    # What a spreadsheet has made of one.
    known.add("592481256000133000")
    for file in (*GUIDES, *OPERATIONS):
        assert set(re.findall(SID, file.read_text())) <= known, file


BALANCE = statements()["operations.md Ledger against outbox 1"]


def test_the_books_balance_before_anything_is_sent(server: ClickHouseServer) -> None:
    rows = run(server, BALANCE).json()["data"]
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
        rows = run(server, BALANCE).json()["data"]
        assert {row["call"]: int(row["difference"]) > 0 for row in rows} == {
            "identify": False,
            "track": True,
        }
    finally:
        run(server, "truncate table retail.segment_outbox_watermarks")


Operate = Callable[[str, str], tuple[bool, str]]
Dbt = Callable[..., dbtRunnerResult]


@pytest.fixture(scope="module")
def dbt(server: ClickHouseServer, directory: Path) -> Iterator[Dbt]:
    """Runs dbt in this process, over a project that is read once."""
    options = [
        *("--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT)),
        *("--target-path", str(directory / "target"), "--log-path", str(directory / "logs")),
    ]
    with pytest.MonkeyPatch.context() as patch:
        for name, value in server.environment.items():
            patch.setenv(name, value)
        patch.setenv("CLICKHOUSE_DATABASE", OUTPUT)
        project = dbtRunner().invoke(["parse", *options]).result
        yield lambda *arguments: dbtRunner(manifest=project).invoke([*arguments, *options])


@pytest.fixture
def operate(
    server: ClickHouseServer, dbt: Dbt, capfd: pytest.CaptureFixture[str]
) -> Iterator[Operate]:
    """Runs an operation while nothing is settled; says whether it succeeded, and what it said."""

    def run_operation(name: str, arguments: str) -> tuple[bool, str]:
        capfd.readouterr()
        done = dbt("run-operation", name, "--args", arguments)
        return done.success, capfd.readouterr().out

    yield run_operation
    for table in ("segment_delivery_ledger", "segment_outbox_watermarks"):
        assert run(server, f"truncate table retail.{table}").status_code == 200


@pytest.mark.parametrize(("name", "arguments"), examples())
def test_the_example_of_an_operation_runs(
    server: ClickHouseServer, operate: Operate, name: str, arguments: str
) -> None:
    if code := re.search(r"error_code: (http_\w+)", arguments):
        # One message that Segment has refused for this.
        refused = (
            "insert into retail.segment_delivery_ledger (message_id, call, event, entity,"
            " entity_id, status, reason_code, enqueued_at, recorded_at) select message_id, call,"
            f" event, entity, entity_id, 'rejected', '{code[1]}', enqueued_at, now64(3)"
            " from retail.segment_track_events order by enqueued_at desc limit 1"
        )
        assert run(server, refused).status_code == 200
    # The sample has entered the outbox just now.
    for bound, days in (("since", -1), ("until", 1)):
        at = f"{datetime.now(timezone.utc) + timedelta(days):%F %T}"
        arguments = re.sub(rf'{bound}: "[^"]*"', f'{bound}: "{at}"', arguments)
    if name == "resend_orders":
        # It takes the number that it says itself.
        _, said = operate(name, "{}")
        arguments = re.sub(r"\d+", re.findall(r"resend_orders: (\d+)", said)[0], arguments)
    succeeded, said = operate(name, arguments)
    assert succeeded, said
    if name in {"requeue", "withdraw", "resolve", "retry_rejected"}:
        assert re.search(rf"^{name}: ([1-9]\d* \w+ message|.* is marked as resolved)", said, re.M)


@pytest.mark.parametrize(
    ("name", "arguments", "reason"),
    [
        (
            "requeue",
            '{call: track, entity_id: "600067039000283132"}',
            "no track message in segment_track_events matches, so nothing is sent again",
        ),
        (
            "requeue",
            '{call: identify, since: "2099-01-01"}',
            "no identify message in segment_identify_events matches",
        ),
        (
            "requeue",
            # A customer is no order.
            '{call: track, entity_id: "394093498000143574"}',
            "Look a SID up with python -m luigi_tasks.explain",
        ),
        (
            "withdraw",
            '{call: track, entity_id: "600067039000283132", note: "a typing error"}',
            "no track message in segment_track_outbox matches, so nothing is withdrawn",
        ),
        (
            "resolve",
            '{entity_type: order, entity_id: "600067039000283131", error_code: currency_unmapped}',
            "has no open currency_unmapped of order 600067039000283131",
        ),
        (
            "retry_rejected",
            "{error_code: http_400}",
            "there is no refused message with the code http_400",
        ),
    ],
)
def test_an_operation_that_matches_nothing_says_so_and_fails(
    operate: Operate, name: str, arguments: str, reason: str
) -> None:
    succeeded, said = operate(name, arguments)
    assert not succeeded
    assert f"{name}: " in said
    assert reason in " ".join(said.split())


def test_what_is_not_due_any_more_is_not_requeued(
    server: ClickHouseServer, operate: Operate
) -> None:
    before = "select * replace ('1' as entity_id, generateUUIDv4() as message_id)"
    gone = (
        f"insert into retail.segment_track_events {before} from retail.segment_track_events limit 1"
    )
    assert run(server, gone).status_code == 200
    succeeded, said = operate("requeue", '{call: track, entity_id: "1"}')
    assert not succeeded
    assert "1 track message(s) match, but none of them" in " ".join(said.split())


def test_the_operations_and_their_arguments_exist() -> None:
    described = yaml.safe_load((PROJECT / "macros/operations/_operations__macros.yml").read_text())
    known = {
        macro["name"]: {argument["name"] for argument in macro.get("arguments", [])}
        for macro in described["macros"]
    }
    for guide in GUIDES:
        used = re.findall(r"dbt run-operation (\w+)(?: --args '(.*?)')?", guide.read_text())
        for name, arguments in used:
            assert set(yaml.safe_load(arguments or "{}")) <= known[name], name
    assert {name for name, _ in examples()} >= {
        *("requeue", "retry_rejected", "resolve", "withdraw", "purge_ledger", "reconcile")
    }


def test_the_examples_of_explain_find_what_they_name(server: ClickHouseServer) -> None:
    text = "\n".join(guide.read_text() for guide in GUIDES)
    examples = set(re.findall(r"python -m luigi_tasks\.explain (\d+)", text))
    assert examples
    environment = clean_environment() | server.environment | {"CLICKHOUSE_DATABASE": OUTPUT}
    for number in examples:
        command = [sys.executable, *shlex.split(f"-m luigi_tasks.explain {number}")]
        done = subprocess.run(
            command,
            cwd=PROJECT,
            env=environment | {"RETAIL_PRO_DATABASE": LANDING},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "it is in the outbox since" in done.stdout


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
