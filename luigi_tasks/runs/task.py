"""The base of all tasks: how they begin, and what the scheduler is shown of their failures."""

from __future__ import annotations

from typing import Any

import luigi
from luigi.cmdline_parser import CmdlineParser

from luigi_tasks import config
from luigi_tasks.errors import expected_sentence
from luigi_tasks.plain_text import for_page
from luigi_tasks.runs import last_run, signals


class PipelineTask(luigi.Task):
    """A task of this package."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Check the environment first: this is before the scheduler is asked for anything.

        Raises:
            ConfigurationError: A setting of the environment has a control character.
        """
        config.refuse_control_characters()
        if CmdlineParser.get_instance():
            signals.install()
        super().__init__(*args, **kwargs)

    def is_asked_for(self) -> bool:
        """Tell whether the command names this task itself, and not one that requires it."""
        command = CmdlineParser.get_instance()
        return command is not None and command.get_task_obj().task_id == self.task_id

    def on_failure(self, exception: BaseException) -> str:
        """Return what luigid's page shows, to everybody who reaches it.

        Not the traceback, which Luigi would send: the log has it.
        """
        sentence = expected_sentence(exception)
        kind = type(exception).__name__
        last_run.failed(f"{self.task_family}: {sentence or f'{kind}: {exception}'}", exception)
        if sentence is not None:
            return for_page(sentence)
        return for_page(f"{kind}: {exception}", 500) + "\nThe log of the run has the details."
