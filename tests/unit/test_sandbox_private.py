"""The files that the sandbox keeps for their owner."""

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sandbox import private


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_directory(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b"
    private.make_directory(path)
    assert mode(path) == 0o700
    path.chmod(0o777)
    private.make_directory(path)
    assert mode(path) == 0o700


def test_several_processes_at_once_get_one_password(tmp_path: Path) -> None:
    def password(_: int) -> str:
        return private.read_password(private.password_file(tmp_path))

    with ThreadPoolExecutor(16) as pool:
        passwords = set(pool.map(password, range(64)))
    assert len(passwords) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["password"]
    assert mode(tmp_path / "password") == 0o600


def test_each_directory_has_another_password(tmp_path: Path) -> None:
    passwords = set()
    for name in "abc":
        (tmp_path / name).mkdir()
        passwords.add(private.read_password(private.password_file(tmp_path / name)))
    assert len(passwords) == 3
    assert all(len(password) == 48 and password.isalnum() for password in passwords)


def test_nothing_is_left_of_a_password_that_could_not_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(OSError, match="No space left"):
        private.password_file(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_belongs_to_another_user_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "chmod", refuse)
    with pytest.raises(private.PrivateFileError, match=r"belongs to another user .* chown"):
        private.make_directory(tmp_path)
