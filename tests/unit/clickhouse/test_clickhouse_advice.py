"""What is said beside an error of ClickHouse, and which ClickHouse is too old."""

import luigi
import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from luigi_tasks.build import dbt
from luigi_tasks.clickhouse import advice, unreachable
from luigi_tasks.errors import BuildFailedError, ConfigurationError


def refusal(code: int) -> DatabaseError:
    """An error of ClickHouse."""
    return DatabaseError(f"server response: Code: {code}. DB::Exception: something", code=code)


@pytest.mark.parametrize(
    ("code", "said"), [(243, "disk is full"), (252, "Merges do not keep up"), (241, "more memory")]
)
def test_each_lack_has_its_sentence(code: int, said: str) -> None:
    assert advice.about(refusal(code)).count(said) == 1


def test_other_errors_have_none() -> None:
    assert advice.about(refusal(60)) == ""
    assert advice.about(ValueError("Code: none")) == ""


def test_a_task_that_fails_says_it_whatever_it_was_doing(caplog: pytest.LogCaptureFixture) -> None:
    luigi.Task().trigger_event(luigi.Event.FAILURE, luigi.Task(), refusal(243))
    assert "Task: ClickHouse's disk is full" in caplog.text


def test_a_build_that_fails_says_it(
    tmp_path_factory: pytest.TempPathFactory, caplog: pytest.LogCaptureFixture
) -> None:
    log = dbt.BuildLog(errors=["Code: 252. DB::Exception: Too many parts (300)"])
    directory = tmp_path_factory.mktemp("target")
    with pytest.raises(BuildFailedError, match="Merges do not keep up"):
        dbt._check(1, log, directory, directory)


@pytest.mark.parametrize("version", ["26.3.1.1", "26.8.2.20001", "27.1"])
def test_a_version_that_works(version: str) -> None:
    unreachable.check_version(version)


@pytest.mark.parametrize("version", ["25.8.2.1", "26.2.9", "9.9"])
def test_a_version_that_is_too_old(version: str) -> None:
    with pytest.raises(ConfigurationError, match=r"26\.3 is the oldest.*Update the server"):
        unreachable.check_version(version)
