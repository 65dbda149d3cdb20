"""What `make` hands to the sandbox's commands."""

import subprocess
from pathlib import Path

import pytest

from tests.processes import PROJECT, clean_environment

PASSWORD = "very-secret-word"


@pytest.fixture
def sandbox(tmp_path: Path) -> Path:
    (tmp_path / "clickhouse").mkdir()
    (tmp_path / "clickhouse" / "password").write_text(f"{PASSWORD}\n")
    return tmp_path


def make(sandbox: Path, *arguments: str, **variables: str) -> str:
    done = subprocess.run(
        ["make", *arguments],
        cwd=PROJECT,
        env=clean_environment() | {"SANDBOX_DIR": str(sandbox)} | variables,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout + done.stderr


def given(sandbox: Path, **variables: str) -> dict[str, str]:
    """The environment, and the umask, of a command that runs on the sandbox."""
    target = "show:;@$(SANDBOX_ENV) bash -c 'env; echo umask=`umask`'"
    shown = make(sandbox, "--eval", target, "show", **variables)
    return dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)


def test_the_password_is_that_of_the_file_whatever_the_environment_says(sandbox: Path) -> None:
    for variables in ({}, {"CLICKHOUSE_PASSWORD": "of-production"}):
        assert given(sandbox, **variables)["CLICKHOUSE_PASSWORD"] == PASSWORD
    assert given(sandbox, SANDBOX_DIR=f"{sandbox}/")["CLICKHOUSE_PASSWORD"] == PASSWORD
    (sandbox / "clickhouse" / "password").unlink()
    assert given(sandbox, CLICKHOUSE_PASSWORD="of-production")["CLICKHOUSE_PASSWORD"] == ""


def test_files_are_made_for_their_owner(sandbox: Path) -> None:
    assert given(sandbox)["umask"] == "0077"


def test_make_shows_no_password(sandbox: Path) -> None:
    shown = make(sandbox, "--dry-run", "--print-data-base", "up", "status", "down", "clean")
    assert "CLICKHOUSE_PASSWORD=" in shown
    assert PASSWORD not in shown


def test_clean_keeps_the_password(sandbox: Path) -> None:
    (sandbox / "clickhouse" / "store").mkdir()
    (sandbox / "clickhouse" / "store" / "password").touch()
    (sandbox / "logs").mkdir()
    (sandbox / "logs" / "segment.log").touch()
    [step] = [line for line in make(sandbox, "--dry-run", "clean").splitlines() if "find" in line]
    subprocess.run(["bash", "-ec", step], cwd=PROJECT, check=True)
    left = sorted(str(path.relative_to(sandbox)) for path in sandbox.rglob("*"))
    assert left == ["clickhouse", "clickhouse/password"]
