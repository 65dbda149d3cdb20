"""``python -m sandbox.docs_site``: the site that ``dbt docs generate`` has made, as web pages."""

import argparse
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from sandbox import private
from sandbox.guard import Guard, add_option, allowed_names

_PAGES = ("/", "/index.html")
_NOT_THERE = "<!doctype html><title>dbt docs</title><p>Not found. Make the site: make docs"


def create_app(directory: Path) -> Starlette:
    """Builds the application, which serves the files of one directory and nothing above it."""
    site = StaticFiles(directory=directory, html=True, check_dir=False)
    return Starlette(
        routes=[Route("/health", _health, methods=["GET"]), Mount("/", site)],
        exception_handlers={404: _not_found},
    )


async def _health(_request: Request) -> Response:
    return JSONResponse({"service": "sandbox.docs_site"})


async def _not_found(_request: Request, _error: Exception) -> Response:
    return HTMLResponse(_NOT_THERE, 404)


def main() -> None:
    """Serves until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.docs_site", description=__doc__)
    parser.add_argument("--path", type=Path, required=True, help="the directory of the site")
    parser.add_argument("--host", default="127.0.0.1", help="default: %(default)s")
    parser.add_argument("--port", type=int, default=8081, help="default: %(default)s")
    add_option(parser)
    options = parser.parse_args()
    private.restrict_new_files()
    options.path.mkdir(parents=True, exist_ok=True)
    uvicorn.run(
        Guard(create_app(options.path), allowed_names(options), _PAGES),
        host=options.host,
        port=options.port,
        ws="none",
        log_level="warning",
        access_log=False,
        server_header=False,
    )


if __name__ == "__main__":
    main()
