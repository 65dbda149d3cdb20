"""Settings: who wins, and that secrets are not settings."""

from collections.abc import Iterator
from pathlib import Path

import luigi
import pytest
from luigi.cmdline_parser import CmdlineParser
from luigi.configuration import get_config

from luigi_tasks import SyncToSegment, clickhouse, config
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
