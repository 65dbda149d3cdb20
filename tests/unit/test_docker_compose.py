"""The production stack is described rightly: checked without a container engine."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from luigi_tasks import luigid

ROOT = Path(__file__).resolve().parents[2]
COMPOSE_FILE = ROOT / "docker-compose.yml"
SECRETS = (
    "SEGMENT_WRITE_KEY",
    "CLICKHOUSE_PASSWORD",
    "CLICKHOUSE_DOCS_PASSWORD",
    "LUIGI_PASSWORD",
)
LOOPBACK = "127.0.0.1:"


@pytest.fixture(scope="module")
def text() -> str:
    return COMPOSE_FILE.read_text()


@pytest.fixture(scope="module")
def services(text: str) -> dict[str, dict[str, Any]]:
    return yaml.safe_load(text)["services"]


def compose_command() -> list[str]:
    """The engine-free `config` command of whichever Compose this machine has."""
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    reason = "docker-compose is not installed; .ci/run installs it"
    # Continuous integration must not pass without this check.
    return pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)


def run_config(tmp_path: Path, variables: str) -> subprocess.CompletedProcess[str]:
    """Run `docker-compose config` with nothing in the environment but `variables`."""
    env_file = tmp_path / "compose.env"
    env_file.write_text(variables)
    return subprocess.run(
        [*compose_command(), "--env-file", str(env_file), "--file", str(COMPOSE_FILE), "config"],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def luigi_command(services: dict[str, dict[str, Any]]) -> list[str]:
    command = services["scheduler"]["command"]
    return command[command.index("--") + 1 :]


def environment_of(service: dict[str, Any]) -> dict[str, str]:
    return service.get("environment", {})


def test_the_file_follows_the_compose_specification() -> None:
    check = subprocess.run(
        [
            *(sys.executable, "-m", "check_jsonschema"),
            *("--builtin-schema", "vendor.compose-spec", str(COMPOSE_FILE)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert check.returncode == 0, check.stdout + check.stderr


def test_compose_accepts_the_file_without_any_setting(tmp_path: Path) -> None:
    result = run_config(tmp_path, "")
    assert result.returncode == 0, result.stderr
    rendered = yaml.safe_load(result.stdout)["services"]
    assert set(rendered) == {"clickhouse", "luigid", "scheduler", "docs"}
    made = rendered["clickhouse"]["environment"]
    for service, account in (("scheduler", "SYNC"), ("docs", "DOCS")):
        given = rendered[service]["environment"]
        assert given["CLICKHOUSE_USER"] == made[f"PIPELINE_{account}_USER"]
        assert given["CLICKHOUSE_PASSWORD_FILE"] == made[f"PIPELINE_{account}_PASSWORD_FILE"]


def test_compose_accepts_the_example_and_takes_no_secret_from_it(tmp_path: Path) -> None:
    example = (ROOT / ".env.example").read_text()
    for name in ("SEGMENT_WRITE_KEY", "CLICKHOUSE_PASSWORD"):
        example, count = re.subn(rf"(?m)^{name}=$", f"{name}=abc123", example)
        assert count == 1
    result = run_config(tmp_path, example)
    assert result.returncode == 0, result.stderr
    assert "abc123" not in result.stdout


def test_the_mappings_of_the_shop_are_mounted(tmp_path: Path) -> None:
    for variables, source in (("", ROOT / "seeds/shop"), ("MAPPINGS_DIR_ON_HOST=/own\n", "/own")):
        rendered = yaml.safe_load(run_config(tmp_path, variables).stdout)["services"]
        for service in ("scheduler", "docs"):
            assert f"{source}:/app/seeds/shop:ro" in rendered[service]["volumes"]


def test_the_key_of_oauth_has_the_same_path_inside(tmp_path: Path) -> None:
    result = run_config(tmp_path, "SEGMENT_OAUTH_KEY_FILE=/etc/keys/oauth.pem\n")
    scheduler = yaml.safe_load(result.stdout)["services"]["scheduler"]
    assert "/etc/keys/oauth.pem:/etc/keys/oauth.pem:ro" in scheduler["volumes"]
    assert scheduler["environment"]["SEGMENT_OAUTH_KEY_FILE"] == "/etc/keys/oauth.pem"


def test_ports_are_published_on_loopback_alone(services: dict[str, dict[str, Any]]) -> None:
    ports = {port for service in services.values() for port in service.get("ports", [])}
    assert len(ports) == 3
    assert all(port.startswith(LOOPBACK) for port in ports), ports
    assert not any(service.get("network_mode") == "host" for service in services.values())


def test_every_service_restarts_and_has_a_health_check(
    services: dict[str, dict[str, Any]],
) -> None:
    for name, service in services.items():
        assert service["restart"] == "unless-stopped", name
        assert service["healthcheck"]["test"], name
    assert any("/ping" in part for part in services["clickhouse"]["healthcheck"]["test"])


def test_the_scheduler_waits_for_healthy_services(services: dict[str, dict[str, Any]]) -> None:
    waits = services["scheduler"]["depends_on"]
    assert waits == {
        "clickhouse": {"condition": "service_healthy"},
        "luigid": {"condition": "service_healthy"},
    }
    assert services["docs"]["depends_on"]["clickhouse"] == {"condition": "service_healthy"}


def test_secrets_are_files_and_each_service_has_only_its_own(
    text: str, services: dict[str, dict[str, Any]]
) -> None:
    named = yaml.safe_load(text)["secrets"]
    assert named == {name.lower(): {"file": f"./secrets/{name.lower()}"} for name in SECRETS}
    assert "secrets/" in (ROOT / ".gitignore").read_text().splitlines()
    for service in services.values():
        variables = environment_of(service)
        assert not set(SECRETS) & set(variables)
        files = {path for name, path in variables.items() if name.endswith("_FILE")}
        mounted = {f"/run/secrets/{name}" for name in service.get("secrets", [])}
        assert {path for path in files if path.startswith("/run/secrets/")} == mounted
    owners = {name: sorted(service.get("secrets", [])) for name, service in services.items()}
    assert owners == {
        "clickhouse": ["clickhouse_docs_password", "clickhouse_password"],
        "luigid": ["luigi_password"],
        "scheduler": ["clickhouse_password", "luigi_password", "segment_write_key"],
        "docs": ["clickhouse_docs_password"],
    }


def test_every_container_is_confined(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        assert service["cap_drop"] == ["ALL"], name
        assert "cap_add" not in service, name
        assert "privileged" not in service, name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["read_only"] is True, name
        assert service["mem_limit"], name
        assert service["pids_limit"], name
        assert "/tmp" in service["tmpfs"], name  # noqa: S108 - a path in the container
    assert services["clickhouse"]["user"] == "101:101"


def test_images_have_an_exact_version(services: dict[str, dict[str, Any]]) -> None:
    clickhouse = services["clickhouse"]["image"]
    assert re.fullmatch(r"\S+:\$\{CLICKHOUSE_VERSION:-\d+\.\d+\.\d+\.\d+\}", clickhouse)
    [python] = re.findall(
        r"(?m)^ARG PYTHON_VERSION=(3\.\d+\.\d+-slim-\w+)$", (ROOT / "Dockerfile").read_text()
    )
    images = re.findall(r"(?m)^FROM (\S+)", (ROOT / "Dockerfile").read_text())
    assert images == ["python:${PYTHON_VERSION}"] * 2
    for name in ("luigid", "scheduler", "docs"):
        arguments = services[name]["build"]["args"]
        assert arguments == {"PYTHON_VERSION": f"${{PYTHON_VERSION:-{python}}}"}


def test_luigid_has_a_password_and_goes_by_the_name_that_the_scheduler_uses(
    services: dict[str, dict[str, Any]],
) -> None:
    command = services["luigid"]["command"]
    assert command[:3] == ["python", "-m", "luigi_tasks.luigid"]
    options = luigid.parse_options(command[3:])
    assert options.address == "0.0.0.0"  # noqa: S104 - all interfaces of the container
    assert options.allow_host == [environment_of(services["scheduler"])["LUIGI_HOST"]]
    assert str(options.port) == environment_of(services["scheduler"])["LUIGI_PORT"]


def test_a_scheduler_that_stays_unhealthy_ends_and_is_restarted(
    services: dict[str, dict[str, Any]],
) -> None:
    scheduler = services["scheduler"]
    minutes = scheduler["command"][scheduler["command"].index("--give-up-after") + 1]
    assert f"-mmin -{minutes} " in scheduler["healthcheck"]["test"][1]
    assert scheduler["healthcheck"]["start_period"] == f"{minutes}m"
    assert scheduler["restart"] == "unless-stopped"


def test_the_sync_runs_every_15_minutes(services: dict[str, dict[str, Any]]) -> None:
    command = services["scheduler"]["command"]
    assert command[:2] == ["python", "deploy/run_every.py"]
    assert command[command.index("--minutes") + 1] == "15"
    heartbeat = command[command.index("--heartbeat") + 1]
    assert heartbeat in str(services["scheduler"]["healthcheck"]["test"])


def test_the_scheduled_luigi_command_exists(services: dict[str, dict[str, Any]]) -> None:
    command = luigi_command(services)
    assert command == ["luigi", "--module", "luigi_tasks", "SyncToSegment"]
    result = subprocess.run(
        [sys.executable, "-m", *command, "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr


def test_the_dbt_command_of_the_docs_site_exists(services: dict[str, dict[str, Any]]) -> None:
    script = services["docs"]["command"][-1]
    found = re.search(r"-- deploy/with_password.sh (dbt docs generate --target-path \S+) &", script)
    assert found, script
    # dbt refuses options it does not know before it prints the help.
    dbt = shutil.which("dbt", path=str(Path(sys.executable).parent))
    assert dbt, "dbt is not beside this Python: run make setup"
    result = subprocess.run(
        [dbt, *found[1].split()[1:], "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_what_must_survive_lies_on_named_volumes(
    text: str, services: dict[str, dict[str, Any]]
) -> None:
    volumes = yaml.safe_load(text)["volumes"]
    mounts = {
        (name, mount.rsplit(":", 1)[1]): mount.rsplit(":", 1)[0]
        for name, service in services.items()
        for mount in service.get("volumes", [])
        if not mount.endswith(":ro")
    }
    assert set(mounts.values()) == set(volumes)
    assert ("clickhouse", "/var/lib/clickhouse") in mounts
    assert ("luigid", "/var/lib/luigi") in mounts
    luigid_settings = (ROOT / "deploy/luigid.cfg").read_text()
    assert luigid_settings.count("/var/lib/luigi/") == 2


def test_luigid_keeps_the_task_history(services: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    """The settings as luigid reads them: luigi.cfg, and the stack's file on top."""
    settings = environment_of(services["luigid"])["LUIGI_CONFIG_PATH"].replace("/app", str(ROOT))
    script = (
        "from luigi.configuration import get_config as c; print("
        "c().getboolean('scheduler', 'record_task_history'),"
        " c().get('task_history', 'db_connection'), c().get('scheduler', 'state_path'))"
    )
    result = subprocess.run(
        [sys.executable, "-c", script],
        env={"PATH": os.environ["PATH"], "LUIGI_CONFIG_PATH": settings, "HOME": str(tmp_path)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    recorded, history, state = result.stdout.split()
    assert recorded == "True"
    assert history == "sqlite:////var/lib/luigi/task-history.db"
    assert state == "/var/lib/luigi/state.pickle"


def test_mounted_and_copied_files_exist(services: dict[str, dict[str, Any]]) -> None:
    for service in services.values():
        for mount in service.get("volumes", []):
            if mount.startswith("./"):
                assert (ROOT / mount.split(":")[0]).exists(), mount
    copied = re.findall(r"(?m)^COPY (?!--from)(.+) \S+$", (ROOT / "Dockerfile").read_text())
    sources = [source for line in copied for source in line.split()]
    assert "luigi_tasks" in sources
    missing = [source for source in sources if not (ROOT / source).exists()]
    assert not missing, missing


def test_the_build_context_holds_what_the_dockerfile_copies() -> None:
    copied = re.findall(r"(?m)^COPY (?!--from)(.+) \S+$", (ROOT / "Dockerfile").read_text())
    sources = {source for line in copied for source in line.split()}
    admitted = {
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"
    }
    assert sources == admitted


def test_the_image_is_built_from_the_lock_and_does_not_run_as_root() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert "--require-hashes --requirement /tmp/requirements.lock" in dockerfile
    assert re.findall(r"(?m)^USER (\S+)$", dockerfile) == ["10001:10001"]


def locked(name: str) -> set[tuple[str, str]]:
    """Packages and versions of a lock file; a package may have one version for older Pythons."""
    return set(re.findall(r"(?m)^([\w.-]+)(?:\[\S+\])?==(\S+)", (ROOT / name).read_text()))


def test_the_image_carries_nothing_of_the_sandbox() -> None:
    production, sandbox = locked("requirements.lock"), locked("requirements-sandbox.lock")
    names = {name for name, _ in production}
    assert {"luigi", "dbt-core", "clickhouse-connect", "tornado"} <= names
    assert {"chdb", "chdb-core", "uvicorn", "starlette"} <= {name for name, _ in sandbox} - names
    assert production <= sandbox <= locked("requirements-dev.lock"), "the same versions everywhere"


def test_the_bill_of_materials_lists_what_the_image_carries() -> None:
    """`make sbom`, in the environment that runs these tests."""
    subprocess.run(
        ["make", "--old-file=.venv/installed-dev", "sbom", f"BIN={Path(sys.executable).parent}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    bill = json.loads((ROOT / "target" / "sbom.cdx.json").read_text())
    assert bill["bomFormat"] == "CycloneDX"
    assert bill["metadata"]["component"]["name"] == "retail-pro-segment"
    listed = {(part["name"], part["version"]) for part in bill["components"]}
    assert listed == locked("requirements.lock")
    assert all("sha" in str(part["externalReferences"][0]).lower() for part in bill["components"])


def test_every_variable_is_in_the_example(text: str) -> None:
    """Variables of the stack and of the program are all described in .env.example."""
    described = set(
        re.findall(r"(?m)^(?:# )?([A-Z][A-Z0-9_]+)=", (ROOT / ".env.example").read_text())
    )
    used = set(re.findall(r"\$\{([A-Z0-9_]+)", text))
    sql = [path.read_text() for path in (ROOT / "macros").rglob("*.sql")]
    settings = [(ROOT / name).read_text() for name in ("profiles.yml", "dbt_project.yml")]
    for source in (*sql, *settings):
        used |= set(re.findall(r"env_var\(\s*'([A-Z0-9_]+)'", source))
    config = (ROOT / "luigi_tasks" / "config.py").read_text()
    used |= set(re.findall(r'Env\w+Parameter\(\s*"([A-Z0-9_]+)"', config))
    used |= set(re.findall(r'environ\.get\(\s*"([A-Z0-9_]+)"', config))
    secrets = re.findall(r'secret\(\s*"([A-Z0-9_]+)"', config)
    assert {*secrets, "CLICKHOUSE_DOCS_PASSWORD"} == set(SECRETS)
    used |= {name + end for name in secrets for end in ("", "_FILE")}
    assert used - described == set()
