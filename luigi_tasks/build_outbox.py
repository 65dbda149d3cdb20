"""BuildOutbox: `dbt build`, which fills the outbox."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import luigi

from luigi_tasks import config
from luigi_tasks.build import dbt, dbt_code
from luigi_tasks.clickhouse import client as clickhouse
from luigi_tasks.landing import export_columns, mapping_files
from luigi_tasks.load_export import LoadExport
from luigi_tasks.runs import clocks, markers
from luigi_tasks.runs.lease import Lease
from luigi_tasks.runs.progress import TaskProgress
from luigi_tasks.runs.slots import SlotTask
from luigi_tasks.segment import readiness

logger = logging.getLogger("luigi-interface.dbt")


class BuildOutbox(SlotTask):
    """Run `dbt build`: models, seeds and tests. A failed test stops the sync before it sends.

    While code and settings stay the same, views and seeds are left as they are.
    """

    def requires(self) -> Iterator[luigi.Task]:
        """The export, when a directory is configured."""
        if directory := config.retail_pro().export_dir:
            yield LoadExport(directory=directory)

    def output(self) -> markers.MarkerTarget:
        """The marker of this slot."""
        return markers.for_slot(self, self.slot)

    def run(self) -> None:
        """Build, and mark the slot."""
        if not config.is_dry_run():
            readiness.check_namespace()
            readiness.check_rows()
        mapping_files.check()
        clocks.check()
        with Lease(), TaskProgress(self, "dbt build") as progress:
            clickhouse.check_for_dbt()
            columns = export_columns.check_tables(dbt.environment())
            code = dbt_code.fingerprint(Path(config.dbt().project_dir), dbt.environment())
            result = dbt.build(progress.update, dbt_code.selector(code))
            export_columns.remember(columns)
            summary = f"{result.nodes} nodes built and tested"
            progress.finish(result.nodes, result.nodes, summary)
        logger.info("dbt: %s", summary)
        self.output().touch(result.nodes, dbt_invocation_id=result.invocation_id, code=code)
