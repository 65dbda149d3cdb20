"""Who may ask the central scheduler."""

import base64
import re
import subprocess
import sys

import luigi.scheduler
import pytest
from luigi.task_history import NopHistory
from tornado.httputil import HTTPHeaders, HTTPServerRequest, RequestStartLine

from luigi_tasks import BuildOutbox, LoadExport, SendIdentify, SendTrack, SyncToSegment, luigid
from luigi_tasks.luigid import Gate

CALL = "/api/update_resource"
PAGE = "/static/visualiser/index.html"
BROWSER = "Mozilla/5.0 (X11; Linux x86_64)"


class _Connection:
    no_keep_alive = False

    def set_close_callback(self, callback: object) -> None:
        """Tornado's requests want to know."""


def status(gate: Gate, path: str = CALL, method: str = "GET", **headers: str) -> int:
    """The answer of a gate: 200 when a request may pass."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = HTTPServerRequest(
        start_line=RequestStartLine(method, path, "HTTP/1.1"),
        headers=HTTPHeaders({"Host": "127.0.0.1:8082"} | named),
        connection=_Connection(),  # type: ignore[arg-type]
    )
    refusal = gate.refusal(request)
    return refusal[0] if refusal else 200


@pytest.fixture
def gate() -> Gate:
    return Gate(["luigid"], "")


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1:8082", 200),
        ("localhost", 200),
        ("[::1]:8082", 200),
        ("LUIGID:8082", 200),
        ("evil.example", 403),
        ("evil.example:8082", 403),
        ("127.0.0.1.evil.example:8082", 403),
        ("[", 403),
        ("", 403),
    ],
)
def test_the_name_must_be_known(gate: Gate, host: str, expected: int) -> None:
    assert status(gate, Host=host) == expected


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        ("http://127.0.0.1:8082", 200),
        ("http://127.0.0.1:8081", 403),
        ("http://localhost:8082", 403),
        ("http://evil.example", 403),
        ("null", 403),
        ("", 403),
    ],
)
def test_the_origin_must_be_its_own(gate: Gate, origin: str, expected: int) -> None:
    assert status(gate, Origin=origin, Sec_Fetch_Site="same-origin") == expected
    assert status(gate, Origin=origin, method="POST") == expected


@pytest.mark.parametrize(
    ("site", "expected"),
    [("same-origin", 200), ("none", 200), ("same-site", 403), ("cross-site", 403), ("new", 403)],
)
def test_other_sites_are_refused(gate: Gate, site: str, expected: int) -> None:
    assert status(gate, Sec_Fetch_Site=site) == expected
    assert status(gate, PAGE, Sec_Fetch_Site=site, Sec_Fetch_Dest="iframe") == expected


@pytest.mark.parametrize(
    ("path", "expected"), [("/", 200), (PAGE, 200), (CALL, 403), ("/history", 403)]
)
def test_a_link_opens_the_page_and_nothing_else(gate: Gate, path: str, expected: int) -> None:
    link = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"}
    assert status(gate, path, Sec_Fetch_Dest="document", **link) == expected
    assert status(gate, path, Sec_Fetch_Dest="iframe", **link) == 403
    assert status(gate, path, method="POST", Sec_Fetch_Dest="document", **link) == 403


def test_a_browser_that_does_not_name_the_site_needs_the_pages_header(gate: Gate) -> None:
    """Over plain HTTP browsers leave Sec-Fetch-Site out, and send a password they have."""
    assert status(gate, User_Agent=BROWSER) == 403
    assert status(gate, User_Agent=BROWSER, X_Requested_With="XMLHttpRequest") == 200
    assert status(gate, PAGE, User_Agent=BROWSER) == 200
    assert status(gate, User_Agent="python-requests/2.34.2") == 200


def test_a_password_is_needed_for_everything_but_the_health_check() -> None:
    gate = Gate([], "s3cret:ü")

    def basic(credentials: str) -> str:
        return "Basic " + base64.b64encode(credentials.encode()).decode()

    for path in (CALL, PAGE, "/", "/history"):
        assert status(gate, path) == 401
        assert status(gate, path, Authorization=basic("luigi:wrong")) == 401
        assert status(gate, path, Authorization=basic("root:s3cret:ü")) == 401
        assert status(gate, path, Authorization=basic("luigi:s3cret:ü")) == 200
    assert status(gate, "/", method="HEAD") == 200
    assert status(gate, "/", method="HEAD", Host="evil.example") == 403


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.0.2.1", ""])  # noqa: S104
def test_beyond_loopback_a_password_is_required(address: str) -> None:
    started = subprocess.run(
        [sys.executable, "-m", "luigi_tasks.luigid", "--address", address],
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert started.returncode == 1
    assert "without a password. Set LUIGI_PASSWORD or LUIGI_PASSWORD_FILE" in started.stderr


def test_the_policy_admits_the_one_script_of_luigis_page() -> None:
    assert len(luigid.INLINE_SCRIPTS) == 1
    assert re.fullmatch(r"'sha256-[\w+/]{43}='", luigid.INLINE_SCRIPTS[0])


def test_no_task_waits_for_a_resource_of_luigid() -> None:
    """One request can take a resource away, and would stop every sync: the lease does this work."""
    tasks = [
        SyncToSegment(),
        BuildOutbox(),
        LoadExport(directory="/nowhere"),
        *(kind(shards=2, shard=1) for kind in (SendIdentify, SendTrack)),
    ]
    assert [task.process_resources() for task in tasks] == [{}] * len(tasks)


@pytest.mark.parametrize("ending", ["DONE", "FAILED"])
def test_a_finished_task_is_shown_for_a_day_and_stops_no_later_run(
    ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the settings of luigi.cfg. LoadExport has no slot: it is the same task in every run."""
    now = [1_000_000.0]
    monkeypatch.setattr(luigi.scheduler.time, "time", lambda: now[0])
    scheduler = luigi.scheduler.Scheduler(task_history_impl=NopHistory())
    task = {"task_id": "LoadExport_1", "family": "LoadExport", "params": {}}

    def run(worker: str, status: str) -> None:
        scheduler.add_task(worker=worker, **task)
        assert scheduler.get_work(worker=worker)["task_id"] == "LoadExport_1"
        scheduler.add_task(worker=worker, status=status, **task)

    run("first", ending)
    now[0] += 30
    run("second", "DONE")
    now[0] += 60
    scheduler.prune()  # luigid does so once a minute
    now[0] += 23 * 3600
    scheduler.prune()
    assert "LoadExport_1" in scheduler.task_list("DONE", "")
    now[0] += 2 * 3600
    scheduler.prune()
    assert not scheduler.task_list("DONE", "")
