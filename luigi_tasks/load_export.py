"""LoadExport: the CSV files of a Retail Pro export into the landing tables.

    luigi --module luigi_tasks LoadExport --directory DIR

Input: customer.csv, document.csv and document_item.csv in DIR. Output: rows in the tables of the
same names in the landing database. A file whose content was loaded before is skipped.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import luigi
from clickhouse_connect.driver.exceptions import OperationalError

from luigi_tasks import config, terminal
from luigi_tasks.clickhouse import client as clickhouse
from luigi_tasks.errors import ClickHouseUnavailableError
from luigi_tasks.landing import dictionary, export_check, export_columns, export_file, origin
from luigi_tasks.landing.export_file import CheckedFile, ExportRefusedError
from luigi_tasks.landing.export_limits import Limits
from luigi_tasks.landing.tables import Landing, Loaded
from luigi_tasks.runs import clocks
from luigi_tasks.runs.lease import LANDING, Lease
from luigi_tasks.runs.progress import TaskProgress
from luigi_tasks.runs.task import PipelineTask

logger = logging.getLogger("luigi-interface.landing")


class LoadedExport(luigi.Target):
    """The files of a directory as they are now, in the landing tables.

    Args:
        directory: The directory of the export.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def __str__(self) -> str:
        return f"loads of {self.directory}"

    def exists(self) -> bool:
        """Tell whether the content of every file was loaded; False when a file is missing."""
        try:
            paths = export_file.find(self.directory, dictionary.load(config.dbt().project_dir))
            clickhouse.wait()
            landing = _landing()
            was_loaded = all(
                landing.has_size(table, path.lstat().st_size)
                and landing.has(table, export_file.content_hash(path))
                for table, path in paths.items()
            )
            if was_loaded:
                # A shop's own export may be a copy of the sample, or the other way round.
                origin.refuse_another(self.directory)
            return was_loaded
        except (ExportRefusedError, origin.AnotherOriginError, OSError) as error:
            # Not loaded, then. The task will say the same as an error when it runs.
            logger.debug("%s is not loaded: %s", self.directory, error)
            return False


@dataclass(frozen=True)
class FileReport:
    """One line of the summary."""

    name: str
    loaded: Loaded
    seconds: float

    @property
    def outcome(self) -> str:
        """What became of the file, in a word or two."""
        return "loaded" if self.loaded.is_new else "skipped, was loaded before"


class LoadExport(PipelineTask):
    """Load customer.csv, document.csv and document_item.csv of a directory."""

    directory = luigi.PathParameter(
        absolute=True, description="Directory of the export, with the three CSV files."
    )
    max_malformed_sid_share = luigi.FloatParameter(
        default=0.01,
        significant=False,
        description="A file is refused when more than this share of its rows has a malformed SID.",
    )
    max_rejected_share = luigi.FloatParameter(
        default=0.01,
        significant=False,
        description="A file is refused when more than this share of its rows cannot be read.",
    )

    def output(self) -> luigi.Target:
        """The content of the files, in the landing tables."""
        return LoadedExport(self.directory)

    def run(self) -> None:
        """Check all files, then load one after the other.

        Raises:
            ExportRefusedError: A file cannot be loaded. Files before it may have been.
            ClickHouseUnavailableError: ClickHouse does not answer.
            ConfigurationError: A clock is wrong; nothing was loaded.
            AnotherRunError: Another run loads an export, for longer than this one waits.
            AnotherOriginError: The sample would meet the rows of a shop.
        """
        clocks.check()
        tables = dictionary.load(config.dbt().project_dir)
        paths = export_file.find(self.directory, tables)
        # Each byte is read twice: by the check and by the load.
        total = 2 * sum(path.lstat().st_size for path in paths.values())
        with Lease(purpose=LANDING), TaskProgress(self, "load export") as progress:
            origin.refuse_another(self.directory)
            meter = _Meter(progress, total)
            files = _check_all(paths, meter)
            _check_columns(files, tables)
            reports = self._load_all(tables, files, meter)
            progress.finish(total, total, _one_line(reports))
        _print(reports)

    def _load_all(
        self, tables: tuple[dictionary.Table, ...], files: list[CheckedFile], meter: _Meter
    ) -> list[FileReport]:
        limits = Limits(self.max_malformed_sid_share, self.max_rejected_share)
        reports = []
        try:
            landing = _landing()
            landing.create(tables)
            for file in files:
                started = time.monotonic()
                loaded = landing.load(file, limits, meter.about(f"loading {file.path.name}"))
                report = FileReport(file.path.name, loaded, time.monotonic() - started)
                logger.info("%s", _one_line([report]))
                reports.append(report)
        except OperationalError as error:
            raise ClickHouseUnavailableError(
                f"ClickHouse went away while the export was loaded: {error}. Files that were not "
                "finished do not count. Run the same command again."
            ) from error
        return reports


class _Meter:
    """Counts bytes for the progress."""

    def __init__(self, progress: TaskProgress, total: int) -> None:
        self._progress = progress
        self._total = total
        self._done = 0

    def about(self, message: str) -> Callable[[int], None]:
        """Return a function that adds bytes, which are about `message`."""

        def advance(read: int) -> None:
            self._done += read
            self._progress.update(self._done, self._total, message)

        return advance


def _landing() -> Landing:
    return Landing(clickhouse.connect(), config.retail_pro().landing_database)


def _check_all(paths: dict[dictionary.Table, Path], meter: _Meter) -> list[CheckedFile]:
    """Check every file before one is loaded, and name all that cannot be loaded."""
    files = []
    errors = []
    for table, path in paths.items():
        try:
            files.append(export_check.check(path, table, meter.about(f"checking {path.name}")))
        except ExportRefusedError as error:
            errors.append(error)
    if errors:
        raise ExportRefusedError("\n".join(str(error) for error in errors)) from errors[0]
    return files


def _check_columns(files: list[CheckedFile], tables: tuple[dictionary.Table, ...]) -> None:
    """Refuse an export that lacks columns; what was loaded before is not loaded again."""
    landing = _landing()
    found = [
        export_columns.Columns(
            place=str(file.path),
            table=file.table,
            names=file.header.names,
            last=landing.columns_of_last_load(file.table),
        )
        for file in files
        if not landing.has(file.table, file.content_hash)
    ]
    export_columns.refuse_missing(found, tables)
    for hint in chain.from_iterable(map(export_columns.hints, found)):
        logger.warning("%s", hint)


def _one_line(reports: list[FileReport]) -> str:
    return "; ".join(
        f"{report.name}: {report.loaded.rows:,} rows, {report.loaded.rejected:,} rejected, "
        f"{report.outcome}, {report.seconds:.1f} s"
        for report in reports
    )


def _print(reports: list[FileReport]) -> None:
    columns = (
        "File",
        terminal.number("Rows"),
        terminal.number("Rejected"),
        "",
        terminal.number("Seconds"),
    )
    rows = [
        (
            report.name,
            report.loaded.rows,
            report.loaded.rejected,
            report.outcome,
            f"{report.seconds:.1f}",
        )
        for report in reports
    ]
    terminal.Terminal().show(terminal.table("Export", columns, rows))
