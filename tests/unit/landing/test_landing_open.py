"""Which files of an export's directory are opened: its own regular files, and nothing else."""

import contextlib
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from luigi_tasks.landing import export_file
from luigi_tasks.landing.export_check import check
from luigi_tasks.landing.export_file import ExportRefusedError, find, open_file
from luigi_tasks.load_export import LoadedExport
from tests.unit.landing_files import TABLE, checked, read

SECRET = "SEGMENT_WRITE_KEY=very-secret"


def link(path: Path) -> None:
    """To a file elsewhere."""
    secret = path.parent.parent / "environ"
    secret.write_text(SECRET)
    path.symlink_to(secret)


def link_beside(path: Path) -> None:
    """To a file in the same directory."""
    (path.parent / "other.csv").write_text("SID\n1\n")
    path.symlink_to("other.csv")


def dangling(path: Path) -> None:
    """To nothing."""
    path.symlink_to("nowhere")


def process(path: Path) -> None:
    """To the environment of this process."""
    path.symlink_to("/proc/self/environ")


def pipe(path: Path) -> None:
    """A pipe that nobody writes into."""
    os.mkfifo(path)


def directory(path: Path) -> None:
    """A directory."""
    path.mkdir()


def linked_directory(path: Path) -> None:
    """A directory by a link."""
    path.symlink_to("/etc")


irregular = pytest.mark.parametrize(
    "make",
    [link, link_beside, dangling, process, pipe, directory, linked_directory],
    ids=lambda make: make.__name__,
)


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """The directory of an export, without a file."""
    made = tmp_path / "export"
    made.mkdir()
    return made


def assert_refused(message: str) -> None:
    assert "thing.csv is " in message
    assert "Nothing was loaded." in message
    assert "very-secret" not in message


@irregular
@pytest.mark.timeout(20)
def test_what_is_no_regular_file_is_not_found(make: Callable[[Path], None], export: Path) -> None:
    make(export / "thing.csv")
    with pytest.raises(ExportRefusedError) as caught:
        find(export, (TABLE,))
    assert_refused(str(caught.value))
    assert LoadedExport(export).exists() is False


@irregular
@pytest.mark.timeout(20)
def test_nor_opened_when_it_takes_a_place_later(make: Callable[[Path], None], export: Path) -> None:
    make(export / "thing.csv")
    with pytest.raises(ExportRefusedError) as caught:
        check(export / "thing.csv", TABLE)
    assert_refused(str(caught.value))


def test_a_file_that_is_exchanged_for_a_link_is_not_read(export: Path) -> None:
    file = checked(export, "SID\n1\n")
    file.path.unlink()
    link(file.path)
    with pytest.raises(ExportRefusedError) as caught:
        read(file)
    assert_refused(str(caught.value))


def test_what_is_opened_is_what_is_checked(export: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = export / "thing.csv"
    path.write_text("SID\n1\n")
    usual = os.open

    def exchange_then_open(*arguments: object) -> int:
        path.unlink()
        link(path)
        return usual(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(export_file.os, "open", exchange_then_open)
    with pytest.raises(ExportRefusedError) as caught:
        open_file(path)
    assert_refused(str(caught.value))


@pytest.mark.skipif(os.getuid() != 0, reason="gives a file to somebody else")
def test_a_hard_link_to_a_file_of_somebody_else_is_refused(export: Path) -> None:
    secret = export.parent / "environ"
    secret.write_text(SECRET)
    os.chown(secret, 12345, 12345)
    os.link(secret, export / "thing.csv")
    with pytest.raises(ExportRefusedError) as caught:
        open_file(export / "thing.csv")
    assert_refused(str(caught.value))


def test_a_hard_link_of_the_owner_is_a_file_like_any_other(export: Path) -> None:
    (export / "kept.csv").write_text("SID\n1\n")
    os.link(export / "kept.csv", export / "thing.csv")
    assert find(export, (TABLE,)) == {TABLE: export / "thing.csv"}
    with open_file(export / "thing.csv") as file:
        assert file.read() == b"SID\n1\n"


def test_the_directory_itself_may_be_a_link(export: Path) -> None:
    (export / "thing.csv").write_text("SID\n1\n")
    latest = export.parent / "latest"
    latest.symlink_to(export)
    [path] = find(latest, (TABLE,)).values()
    rows, _ = read(check(path, TABLE))
    assert [row["SID"] for row in rows] == ["1"]


def test_a_pipe_with_a_writer_is_not_read_either(export: Path) -> None:
    pipe(export / "thing.csv")

    def write() -> None:
        with contextlib.suppress(BrokenPipeError):
            (export / "thing.csv").write_text("SID\n1\n")

    # It may come too late for the reader, and would wait for one for ever.
    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    with pytest.raises(ExportRefusedError):
        open_file(export / "thing.csv")
    os.close(os.open(export / "thing.csv", os.O_RDONLY | os.O_NONBLOCK))
    writer.join(5)
