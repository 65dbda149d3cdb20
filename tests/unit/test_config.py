"""Settings: who wins, and that secrets are not settings."""

from collections.abc import Iterator
from pathlib import Path

import luigi
import pytest
from luigi.cmdline_parser import CmdlineParser
from luigi.configuration import get_config

from luigi_tasks import SyncToSegment, config
from luigi_tasks.clickhouse import client as clickhouse
from luigi_tasks.errors import ConfigurationError

SECTIONS = [
    config.clickhouse,
    config.retail_pro,
    config.dbt,
    config.segment,
    config.delivery,
    config.readiness,
    config.lease,
    config.brake,
]
PROJECT = Path(config.__file__).parents[1]


@pytest.fixture
def cfg() -> Iterator[None]:
    """luigi.cfg says port 1111."""
    parser = get_config()
    before = parser.get("clickhouse", "port", None)
    parser.set("clickhouse", "port", "1111")
    yield
    if before is None:
        parser.remove_option("clickhouse", "port")
    else:
        parser.set("clickhouse", "port", before)


def test_the_file_wins_over_the_default(cfg: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLICKHOUSE_PORT", raising=False)
    assert config.clickhouse().port == 1111


def test_the_environment_wins_over_the_file(cfg: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLICKHOUSE_PORT", "2222")
    assert config.clickhouse().port == 2222


def test_the_command_line_wins_over_all(cfg: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLICKHOUSE_PORT", "2222")
    with CmdlineParser.global_instance(["SyncToSegment", "--clickhouse-port", "3333"]):
        assert config.clickhouse().port == 3333


def test_an_empty_variable_is_not_set(cfg: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLICKHOUSE_PORT", "")
    assert config.clickhouse().port == 1111


@pytest.mark.parametrize(
    ("text", "value"), [("true", True), ("1", True), ("Yes", True), ("false", False), ("0", False)]
)
def test_yes_and_no(text: str, value: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLICKHOUSE_SECURE", text)
    assert config.clickhouse().secure is value


@pytest.mark.parametrize(
    ("variable", "text"), [("CLICKHOUSE_PORT", "http"), ("CLICKHOUSE_SECURE", "maybe")]
)
def test_a_variable_that_cannot_be_read_is_named(
    variable: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, text)
    with pytest.raises(ValueError, match="Error when parsing") as caught:
        config.clickhouse()
    assert isinstance(caught.value.__cause__, ConfigurationError)
    assert variable in str(caught.value.__cause__)


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.__name__)
def test_every_parameter_is_described(section: type[luigi.Config]) -> None:
    assert all(parameter.description for _, parameter in section.get_params())


def test_the_file_names_only_parameters_that_exist_and_no_secret() -> None:
    known = {section.__name__: {name for name, _ in section.get_params()} for section in SECTIONS}
    text = (PROJECT / "luigi.cfg").read_text()
    current = ""
    for line in text.splitlines():
        if line.startswith("["):
            current = line.strip("[]")
        elif line and not line.startswith("#") and current in known:
            assert line.partition("=")[0] in known[current]
    assert "key=" not in text
    assert "password=" not in text


def test_secrets_never_show(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGMENT_WRITE_KEY", "very-secret-key")
    monkeypatch.setenv("CLICKHOUSE_PASSWORD", "very-secret-word")
    monkeypatch.setenv("CLICKHOUSE_PORT", "9")
    shown = [repr(section()) + str(section().to_str_params()) for section in SECTIONS]
    shown += [repr(SyncToSegment()), str(SyncToSegment().to_str_params())]
    with pytest.raises(Exception, match="CLICKHOUSE_HOST") as caught:
        clickhouse.connect()
    shown += [str(caught.value), repr(caught.value.__cause__)]
    assert "very-secret" not in "".join(shown)
    assert not config.is_dry_run()


@pytest.mark.parametrize("text", [None, "", "  "])
def test_no_write_key_is_a_dry_run(text: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SEGMENT_WRITE_KEY", raising=False)
    if text is not None:
        monkeypatch.setenv("SEGMENT_WRITE_KEY", text)
    assert config.is_dry_run()


@pytest.mark.parametrize(
    ("host", "sandbox"),
    [
        ("http://127.0.0.1:8765", True),
        ("http://localhost:1", True),
        ("http://[::1]:1", True),
        ("https://api.segment.io", False),
    ],
)
def test_the_sandbox_is_on_this_machine(host: str, sandbox: bool) -> None:
    assert config.is_sandbox(host) is sandbox


def test_the_scheduler_follows_its_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    before = get_config().get("core", "scheduler_port", "8082")
    monkeypatch.setenv("LUIGI_PORT", "18082")
    config.follow_scheduler_variables()
    try:
        assert luigi.interface.core().scheduler_port == 18082
    finally:
        get_config().set("core", "scheduler_port", before)


def test_a_naive_time_is_refused() -> None:
    from datetime import datetime

    with pytest.raises(ValueError, match="no time zone"):
        clickhouse.insert_once("t", ["at"], [[datetime(2026, 1, 1)]], ["DateTime"], ["1"])


def test_the_token_depends_on_the_ids_and_not_on_their_order() -> None:
    def token(*ids: str) -> object:
        return clickhouse.insert_settings(ids)["insert_deduplication_token"]

    assert token("a", "b") == token("b", "a")
    assert token("a", "b") != token("ab")
    assert token("a") != token("a", "a")


@pytest.fixture
def own_secret(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The file that SEGMENT_WRITE_KEY_FILE names; the variable itself is not set."""
    monkeypatch.delenv("SEGMENT_WRITE_KEY", raising=False)
    monkeypatch.setenv("SEGMENT_WRITE_KEY_FILE", str(tmp_path / "key"))
    return tmp_path / "key"


@pytest.mark.parametrize("content", ["key-1", "key-1\n", "key-1\r\n"])
def test_a_secret_comes_from_a_file(own_secret: Path, content: str) -> None:
    own_secret.write_text(content, newline="")
    assert config.write_key() == "key-1"
    assert not config.is_dry_run()


@pytest.mark.parametrize("content", ["", "\n", None, b"\xff"])
def test_a_file_without_a_secret_is_no_dry_run(
    own_secret: Path, content: str | bytes | None
) -> None:
    if content is not None:
        own_secret.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(ConfigurationError, match=r"SEGMENT_WRITE_KEY_FILE is .*key'"):
        config.is_dry_run()


def test_a_secret_has_one_place(own_secret: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own_secret.write_text("key-1")
    monkeypatch.setenv("SEGMENT_WRITE_KEY", "key-2")
    with pytest.raises(ConfigurationError, match=r"Both SEGMENT_WRITE_KEY and .*_FILE are set"):
        config.write_key()


def test_a_password_keeps_its_blanks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CLICKHOUSE_PASSWORD", raising=False)
    monkeypatch.setenv("CLICKHOUSE_PASSWORD_FILE", str(tmp_path / "password"))
    (tmp_path / "password").write_text(" two words \n")
    assert config.clickhouse_password() == " two words "


def test_a_worker_that_is_kept_alive_waits_as_long_for_the_lease_as_for_luigid() -> None:
    options = ["SyncToSegment", "--lease-wait-seconds", "120"]
    with CmdlineParser.global_instance(options):
        assert config.lease_wait_seconds() == 120
    kept = [*options, "--worker-keep-alive", "--worker-max-keep-alive-idle-duration", "10 minutes"]
    with CmdlineParser.global_instance(kept):
        assert config.lease_wait_seconds() == 600
    with CmdlineParser.global_instance([*kept, "--lease-wait-seconds", "900"]):
        assert config.lease_wait_seconds() == 900
