"""`. .venv/bin/activate` exports the sandbox's password, in each shell that is here."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import PROJECT, clean_environment

SHELLS = [["bash", "-eu"], ["zsh", "-f", "-eu"], ["dash", "-eu"]]
SHOW = 'echo "${CLICKHOUSE_PASSWORD-none}"'


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout with an environment that `make setup` has finished, twice."""
    root = tmp_path_factory.mktemp("checkout")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", root / ".venv"], check=True)
    (root / "sandbox").mkdir()
    shutil.copy(PROJECT / "sandbox" / "activate.sh", root / "sandbox")
    plan = subprocess.run(
        ["make", "--dry-run", "--always-make", "setup"],
        cwd=PROJECT,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    [step] = [line for line in plan if "activate.sh" in line]
    for _ in range(2):
        subprocess.run(["bash", "-ec", step], cwd=root, check=True)
    assert (root / ".venv" / "bin" / "activate").read_text().count("|| . ") == 1
    write(root / ".sandbox", "secret1")
    return root


def write(sandbox: Path, password: str) -> None:
    (sandbox / "clickhouse").mkdir(parents=True, exist_ok=True)
    (sandbox / "clickhouse" / "password").write_text(f"{password}\n")


def run(shell: list[str], checkout: Path, script: str, **variables: str) -> list[str]:
    """The lines that a script prints, in a directory elsewhere."""
    if not shutil.which(shell[0]):
        pytest.skip(f"{shell[0]} is not installed")
    done = subprocess.run(
        [*shell, "-c", script.replace("ACTIVATE", f". '{checkout}/.venv/bin/activate'")],
        cwd="/",
        env=clean_environment() | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("variables", "shown"),
    [
        ({}, "secret1"),
        ({"CLICKHOUSE_HOST": "localhost"}, "secret1"),
        ({"CLICKHOUSE_HOST": "::1"}, "secret1"),
        ({"CLICKHOUSE_PASSWORD": ""}, "secret1"),
        ({"CLICKHOUSE_PASSWORD": "own"}, "own"),
        ({"CLICKHOUSE_PASSWORD_FILE": "/own"}, "none"),
        ({"CLICKHOUSE_HOST": "clickhouse.example"}, "none"),
        ({"SANDBOX_DIR": "/nowhere"}, "none"),
    ],
)
def test_what_is_exported(
    shell: list[str], checkout: Path, variables: dict[str, str], shown: str
) -> None:
    command = 'ACTIVATE; python -c \'import os; print(os.getenv("CLICKHOUSE_PASSWORD", "none"))\''
    assert run(shell, checkout, command, **variables) == [shown]


@pytest.mark.parametrize("shell", SHELLS)
def test_another_directory_and_a_new_password(
    shell: list[str], checkout: Path, tmp_path: Path
) -> None:
    write(tmp_path / "my sandbox", "secret2")
    file = tmp_path / "my sandbox" / "clickhouse" / "password"
    script = f"ACTIVATE; {SHOW}; echo secret3 >'{file}'; ACTIVATE; {SHOW}"
    directory = str(tmp_path / "my sandbox")
    assert run(shell, checkout, script, SANDBOX_DIR=directory) == ["secret2", "secret3"]


@pytest.mark.parametrize("shell", SHELLS[:2])
def test_deactivate_takes_it_back(shell: list[str], checkout: Path) -> None:
    twice = f"ACTIVATE; ACTIVATE; deactivate; {SHOW}; echo ${{VIRTUAL_ENV-none}}; ACTIVATE; {SHOW}"
    assert run(shell, checkout, twice) == ["none", "none", "secret1"]
    changed = f"ACTIVATE; CLICKHOUSE_PASSWORD=own; deactivate; {SHOW}"
    assert run(shell, checkout, changed) == ["own"]
