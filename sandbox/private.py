"""Files that nobody but their owner may read: directories, and the password of ClickHouse."""

import contextlib
import os
import secrets
import tempfile
from pathlib import Path

_OWNER_ONLY = 0o077
_PASSWORD_BYTES = 24


class PrivateFileError(Exception):
    """A file cannot be kept private; the text says why and what to do."""


def restrict_new_files() -> None:
    """Let this process and its children make files and directories for their owner only."""
    os.umask(_OWNER_ONLY)


def make_directory(path: Path) -> None:
    """Make a directory of mode 0700, or take one that is there back to it.

    Raises:
        PrivateFileError: It belongs to somebody else.
    """
    path.mkdir(parents=True, exist_ok=True)
    _chmod(path, 0o700)


def password_file(directory: Path) -> Path:
    """The file, of mode 0600, with the password of the ClickHouse whose data a directory holds.

    A new one gets a random password. The directory must exist.

    Raises:
        PrivateFileError: The file is empty, or belongs to somebody else.
    """
    file = directory / "password"
    if not file.exists():
        _create(file)
    _chmod(file, 0o600)
    if not read_password(file):
        raise PrivateFileError(f"The password file {file} is empty. Delete it to get a new one.")
    return file


def read_password(file: Path) -> str:
    """The password in a file."""
    return file.read_text(encoding="utf-8").strip()


def _create(file: Path) -> None:
    """Write the file as a whole: of several processes at once, one makes it and all read it."""
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=f"{file.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as partial:
            partial.write(f"{secrets.token_hex(_PASSWORD_BYTES)}\n")
        with contextlib.suppress(FileExistsError):
            os.link(name, file)
    finally:
        Path(name).unlink()


def _chmod(path: Path, mode: int) -> None:
    try:
        path.chmod(mode)
    except PermissionError as error:
        raise PrivateFileError(
            f"{path} belongs to another user (id {path.stat().st_uid}), so it cannot be made"
            " private. Take it over with chown, or choose another directory."
        ) from error
