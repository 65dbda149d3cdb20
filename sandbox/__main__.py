"""Command line: ``python -m sandbox prepare|up|down|status|logs``."""

import argparse
import sys

from rich.console import Console
from rich.table import Table

from sandbox import private
from sandbox.services import Sandbox, SandboxError, default_directory, services

_STYLES = {"running": "green", "not answering": "red", "stopped": "dim", "port taken": "yellow"}


def main() -> int:
    """Runs one command; returns the exit status: 0 means that it did what was asked."""
    private.restrict_new_files()
    directory = default_directory()
    try:
        sandbox = Sandbox(directory, services(directory))
        options = _parse_options(sandbox.names)
        if options.command == "prepare":
            sandbox.prepare()
            return 0
        if options.command == "up":
            sandbox.up()
            return _status(sandbox)
        if options.command == "down":
            return _down(sandbox)
        if options.command == "logs":
            return _logs(sandbox, options.service or sandbox.names, options.lines)
        return _status(sandbox)
    except SandboxError as error:
        sys.stderr.write(f"{error}\n")
        return 1


def _parse_options(names: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m sandbox",
        description="ClickHouse, Segment, luigid and the dbt docs site as background processes on"
        " this machine. Ports: CLICKHOUSE_PORT, SEGMENT_PORT, LUIGI_PORT, DOCS_PORT. Data, logs"
        " and process records lie in SANDBOX_DIR, else .sandbox.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    commands.add_parser("prepare", help="make the directories and the password, start nothing")
    commands.add_parser("up", help="start what does not run yet, and wait until all of it answers")
    commands.add_parser("down", help="stop everything")
    commands.add_parser("status", help="show each service; exit status 1 unless all of them run")
    logs = commands.add_parser("logs", help="show the end of the logs")
    logs.add_argument("service", nargs="*", help=f"{', '.join(names)}; default: all")
    logs.add_argument("-n", "--lines", type=int, default=20, help="default: %(default)s")
    return parser.parse_args()


def _status(sandbox: Sandbox) -> int:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("Service", "State", "Process", "Address"):
        table.add_column(heading, no_wrap=True)
    states = sandbox.status()
    for state in states:
        shown = f"[{_STYLES[state.state]}]{state.state}[/]"
        table.add_row(state.service.title, shown, str(state.pid or ""), state.service.url)
    Console().print(table)
    return 0 if all(state.state == "running" for state in states) else 1


def _down(sandbox: Sandbox) -> int:
    stopped = sandbox.down()
    names = ", ".join(service.title for service in stopped)
    sys.stdout.write(f"Stopped: {names}.\n" if stopped else "Nothing was running.\n")
    return 0


def _logs(sandbox: Sandbox, names: list[str], lines: int) -> int:
    for name in names:
        if name not in sandbox.names:
            raise SandboxError(f"There is no service {name}. Known: {', '.join(sandbox.names)}.")
        sys.stdout.write(f"==> {name} <==\n{sandbox.log(name, lines) or '(nothing)'}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
