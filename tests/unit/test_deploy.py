"""The crontab line, the systemd units and the loop of the container really work as documented."""

from __future__ import annotations

import re
import runpy
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from configparser import ConfigParser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
UNITS = sorted((DEPLOY / "systemd").iterdir())
RUN_EVERY = DEPLOY / "run_every.py"
SYNC = ["luigi", "--module", "luigi_tasks", "SyncToSegment"]


def read_unit(name: str) -> ConfigParser:
    """Parse a unit whose keys each occur once."""
    text = (DEPLOY / "systemd" / name).read_text().replace("\\\n", " ")
    parser = ConfigParser(interpolation=None, delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(text)
    return parser


def cron_line() -> str:
    lines = (DEPLOY / "cron.d" / "retail-pro-segment").read_text().splitlines()
    (line,) = [line for line in lines if re.match(r"[*0-9]", line)]
    return line


def sync_of(command: str) -> list[str]:
    """The luigi command within a longer one, its program's path taken off."""
    words = shlex.split(command)
    start = next(i for i, word in enumerate(words) if word.endswith("/luigi"))
    return ["luigi", *words[start + 1 : start + len(SYNC)]]


# ---- systemd -------------------------------------------------------------------------------


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_accepts_the_unit(unit: Path, tmp_path: Path) -> None:
    """All units lie side by side, with the programs of this environment in their places."""
    programs = Path(sys.executable).parent
    for source in UNITS:
        text = source.read_text().replace("/opt/retail-pro-segment/.venv/bin", str(programs))
        (tmp_path / source.name).write_text(text)
    result = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(tmp_path / unit.name)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
def test_the_timer_fires_at_each_quarter_of_an_hour() -> None:
    schedule = read_unit("retail-pro-segment.timer")["Timer"]["OnCalendar"]
    result = subprocess.run(
        ["systemd-analyze", "calendar", "--iterations=5", schedule],
        capture_output=True,
        text=True,
        check=True,
    )
    starts = re.findall(r"\d\d:(\d\d):(\d\d) ", result.stdout)
    assert len(starts) >= 5
    assert {minute for minute, _ in starts} == {"00", "15", "30", "45"}
    assert {second for _, second in starts} == {"00"}


def test_the_timer_makes_up_for_a_time_switched_off() -> None:
    assert read_unit("retail-pro-segment.timer")["Timer"]["Persistent"] == "true"


def test_the_service_runs_one_sync_without_overlap() -> None:
    service = read_unit("retail-pro-segment.service")["Service"]
    assert service["Type"] == "oneshot"
    assert sync_of(service["ExecStart"]) == SYNC
    assert "flock --no-fork --nonblock --conflict-exit-code 10 " in service["ExecStart"]
    assert service["SuccessExitStatus"] == "10"


def test_the_service_takes_secrets_from_a_file() -> None:
    service = read_unit("retail-pro-segment.service")["Service"]
    assert service["EnvironmentFile"] == "/opt/retail-pro-segment/.env"
    assert "KEY" not in service["Environment"]
    assert "PASSWORD" not in service["Environment"]


@pytest.mark.parametrize("name", ["retail-pro-segment.service", "retail-pro-luigid.service"])
def test_the_services_are_hardened(name: str) -> None:
    service = read_unit(name)["Service"]
    assert service["User"] == "retailpro"
    assert service["NoNewPrivileges"] == "true"
    assert service["ProtectSystem"] == "strict"
    assert service["CapabilityBoundingSet"] == ""


def test_luigid_listens_on_loopback_and_knows_no_secret() -> None:
    service = read_unit("retail-pro-luigid.service")["Service"]
    assert " -m luigi_tasks.luigid --address 127.0.0.1 " in service["ExecStart"]
    assert "EnvironmentFile" not in service


def test_the_settings_have_one_name() -> None:
    """`.env` beside the code, for docker compose, systemd, cron and commands by hand."""
    [app] = re.findall(r"(?m)^APP=(\S+)$", (DEPLOY / "cron.d" / "retail-pro-segment").read_text())
    unit = read_unit("retail-pro-segment.service")["Service"]
    assert unit["EnvironmentFile"] == f"{unit['WorkingDirectory']}/.env" == f"{app}/.env"
    assert 'cd "$APP" && set -a && . ./.env && set +a' in cron_line()
    guides = [ROOT / "README.md", ROOT / ".env.example", *(ROOT / "docs").glob("*.md")]
    for guide in guides:
        assert not re.search(r"/etc/retail-pro-segment\S*env", guide.read_text()), guide


# ---- cron ----------------------------------------------------------------------------------


def test_the_crontab_line_runs_the_same_sync_every_15_minutes() -> None:
    minute, *rest, user, command = cron_line().split(maxsplit=6)
    assert (minute, rest, user) == ("*/15", ["*"] * 4, "retailpro")
    assert sync_of(command) == SYNC
    assert "%" not in command, "cron turns % into a line break"


def test_cron_and_systemd_share_one_lock() -> None:
    lock = re.compile(r"--conflict-exit-code 10 (\S+)")
    unit = read_unit("retail-pro-segment.service")["Service"]["ExecStart"]
    assert lock.findall(unit) == lock.findall(cron_line())


def test_the_crontab_line_ends_a_sync_that_does_not_end(tmp_path: Path) -> None:
    program = tmp_path / ".venv" / "bin" / "luigi"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\ntrap '' TERM\nsleep 60 & wait; sleep 60\n")
    program.chmod(0o755)
    (tmp_path / ".env").touch()
    assert "timeout --signal=TERM --kill-after=60 4h " in cron_line()
    command = cron_command(tmp_path).replace("--kill-after=60 4h", "--kill-after=0.3 0.3")
    began = time.monotonic()
    done = subprocess.run(
        ["/bin/bash", "-c", command],
        env={"APP": str(tmp_path), "PATH": "/usr/bin:/bin", "TMPDIR": str(tmp_path / "tmp")},
        check=False,
    )
    assert done.returncode != 0
    assert time.monotonic() - began < 20
    # What was killed gives the lock back a moment later.
    free = ["flock", "--timeout", "10", str(tmp_path / "lock"), "true"]
    assert subprocess.run(free, check=False).returncode == 0, "the next sync can begin"


def cron_command(directory: Path) -> str:
    """The line's own command, with the files of a directory."""
    command = cron_line().split(maxsplit=6)[6].split(" 2>&1 ")[0]
    return command.replace("/var/lib/retail-pro-segment/sync.lock", f"{directory}/lock")


def test_the_crontab_line_leaves_out_a_slot_while_a_sync_runs(tmp_path: Path) -> None:
    """The line's own command, with a program of its own in luigi's place."""
    program = tmp_path / ".venv" / "bin" / "luigi"
    program.parent.mkdir(parents=True)
    program.write_text('#!/bin/sh\necho "$SEGMENT_WRITE_KEY $*" >> ran\n: > "$TMPDIR/file"\n')
    program.chmod(0o755)
    (tmp_path / ".env").write_text("SEGMENT_WRITE_KEY='a b$c'\n")
    command = cron_command(tmp_path)

    def run() -> int:
        return subprocess.run(
            ["/bin/bash", "-c", command],
            env={"APP": str(tmp_path), "PATH": "/usr/bin:/bin", "TMPDIR": str(tmp_path / "tmp")},
            check=False,
        ).returncode

    assert run() == 0
    with subprocess.Popen(
        ["flock", str(tmp_path / "lock"), "cat"], stdin=subprocess.PIPE
    ) as holder:
        taken = ["flock", "--nonblock", str(tmp_path / "lock"), "true"]
        while subprocess.run(taken, check=False).returncode == 0:
            time.sleep(0.02)
        assert run() == 10
        holder.communicate()
    assert (tmp_path / "ran").read_text() == "a b$c --module luigi_tasks SyncToSegment\n"
    modes = [(tmp_path / name).stat().st_mode & 0o777 for name in ("ran", "tmp", "tmp/file")]
    assert modes == [0o600, 0o700, 0o600], "others read nothing of what the sync writes"


def test_the_temporary_files_of_cron_are_its_own() -> None:
    text = (DEPLOY / "cron.d" / "retail-pro-segment").read_text()
    assert re.findall(r"(?m)^TMPDIR=(.+)$", text) == ["/var/lib/retail-pro-segment/tmp"]


# ---- the container's loop --------------------------------------------------------------------


def loop(*arguments: str | Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(RUN_EVERY), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def lines_until(process: subprocess.Popen[str], text: str) -> Iterator[str]:
    """Yield the output up to the first line that contains `text`."""
    assert process.stdout is not None
    for line in process.stdout:
        yield line
        if text in line:
            return
    pytest.fail(f"the output ended without {text!r}")


def stop(process: subprocess.Popen[str]) -> int:
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=10)
    return process.returncode


@pytest.mark.parametrize(
    ("now", "expected"), [(0.0, 900.0), (899.9, 900.0), (900.0, 1800.0), (1000.5, 1800.0)]
)
def test_the_next_start_is_a_full_quarter_of_an_hour(now: float, expected: float) -> None:
    next_start = runpy.run_path(str(RUN_EVERY))["next_start"]
    assert next_start(now, 900.0) == expected


def test_the_loop_runs_at_once_and_again_and_survives_failures(tmp_path: Path) -> None:
    script = f"echo run >> {tmp_path}/ran; exit 30"
    process = loop("--minutes", "0.005", "--heartbeat", tmp_path / "beat", "--", "sh", "-c", script)
    for _ in range(3):
        list(lines_until(process, "exit code 30"))
    assert stop(process) == 0
    assert len((tmp_path / "ran").read_text().splitlines()) >= 3
    assert not (tmp_path / "beat").exists(), "a failed run is no sign of health"


def test_a_run_that_ends_well_shows_in_the_heartbeat(tmp_path: Path) -> None:
    process = loop("--minutes", "15", "--heartbeat", tmp_path / "beat", "--", "echo", "sent 3")
    lines = list(lines_until(process, "next start"))
    assert "sent 3\n" in lines
    assert re.search(r"next start \d{4}-\d\d-\d\dT\d\d:(00|15|30|45):00Z", lines[-1])
    assert (tmp_path / "beat").exists()
    began = time.monotonic()
    assert stop(process) == 0
    assert time.monotonic() - began < 5, "the wait for the next slot must end at once"


def test_the_loop_gives_up_when_no_run_is_well(tmp_path: Path) -> None:
    """It ends with code 1, for Compose to start it afresh; one good run in between counts."""
    script = f"test -e {tmp_path}/failed && exit 30; touch {tmp_path}/failed"
    options = ("--minutes", "0.005", "--give-up-after", "0.02")
    process = loop(*options, "--", "sh", "-c", script)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "exit code 0" in output
    assert output.count("exit code 30") >= 2
    assert "no run has been well for 1 s: giving up" in output


def test_a_red_run_that_gave_a_sign_of_life_is_well(tmp_path: Path) -> None:
    """One stuck message makes every run red for days; the loop goes on."""
    options = ("--minutes", "0.005", "--give-up-after", "0.01")
    script = 'touch "$RUN_EVERY_HEARTBEAT"; exit 30'
    for heartbeat in ([], ["--heartbeat", tmp_path / "beat"]):
        process = loop(*options, *heartbeat, "--", "sh", "-c", script)
        for _ in range(6):
            list(lines_until(process, "exit code 30"))
        assert stop(process) == 0
    assert (tmp_path / "beat").exists()


def test_a_command_gets_the_password_from_its_file(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("s3cret word\n")
    program = DEPLOY / "with_password.sh"
    shown = ["sh", "-c", 'echo "$CLICKHOUSE_PASSWORD|${CLICKHOUSE_PASSWORD_FILE-unset}|$1"', "sh"]

    def run(**variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(program), *shown, "a b"],
            env={"PATH": "/usr/bin:/bin"} | variables,
            capture_output=True,
            text=True,
            check=False,
        )

    from_file = run(CLICKHOUSE_PASSWORD_FILE=str(tmp_path / "password"))
    assert from_file.stdout == "s3cret word|unset|a b\n"
    assert run(CLICKHOUSE_PASSWORD="plain").stdout == "plain|unset|a b\n"
    missing = run(CLICKHOUSE_PASSWORD_FILE=str(tmp_path / "missing"))
    assert missing.returncode != 0
    assert missing.stdout == ""


def test_runs_never_overlap(tmp_path: Path) -> None:
    script = f"mkdir {tmp_path}/busy || exit 99; sleep 0.3; rmdir {tmp_path}/busy"
    process = loop("--minutes", "0.001", "--", "sh", "-c", script)
    for _ in range(4):
        *_, last = lines_until(process, "exit code")
        assert "exit code 0" in last
    assert stop(process) == 0


def test_stopping_interrupts_the_run_and_waits_for_it(tmp_path: Path) -> None:
    program = tmp_path / "sync.py"
    program.write_text(
        "import time\n"
        "try:\n    print('working', flush=True)\n    time.sleep(60)\n"
        "except KeyboardInterrupt:\n    print('batch written down', flush=True)\n"
    )
    process = loop("--minutes", "15", "--", sys.executable, program)
    list(lines_until(process, "working"))
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=10)
    assert "batch written down" in output
    assert process.returncode == 0


STUBBORN = "import signal, time\nsignal.signal(signal.{name}, signal.SIG_IGN)\n"


@pytest.mark.parametrize("stubborn", [False, True])
def test_a_run_that_takes_too_long_is_ended_and_the_next_one_begins(
    stubborn: bool, tmp_path: Path
) -> None:
    program = tmp_path / "sync.py"
    start = STUBBORN.format(name="SIGTERM") if stubborn else "import time\n"
    program.write_text(start + "time.sleep(60)\n")
    limits = ("--minutes", "0.005", "--max-minutes", "0.01", "--grace-seconds", "0.5")
    process = loop(*limits, "--", sys.executable, program)
    expected = -signal.SIGKILL if stubborn else -signal.SIGTERM
    for _ in range(2):
        list(lines_until(process, f"exit code {expected}"))
    assert stop(process) == 0


def test_a_run_that_does_not_stop_is_killed(tmp_path: Path) -> None:
    program = tmp_path / "sync.py"
    program.write_text(
        STUBBORN.format(name="SIGINT") + "print('working', flush=True)\ntime.sleep(60)\n"
    )
    limits = ("--minutes", "15", "--grace-seconds", "0.5")
    process = loop(*limits, "--", sys.executable, program)
    list(lines_until(process, "working"))
    assert stop(process) == 0


def test_a_slot_of_no_length_is_refused() -> None:
    process = loop("--minutes", "0", "--", "true")
    output, _ = process.communicate(timeout=10)
    assert process.returncode == 2
    assert "--minutes must be more than 0" in output


def test_after_a_signal_no_further_run_begins(tmp_path: Path) -> None:
    process = loop("--minutes", "15", "--", "sh", "-c", f"echo run >> {tmp_path}/ran")
    list(lines_until(process, "next start"))
    assert stop(process) == 0
    assert (tmp_path / "ran").read_text() == "run\n"
