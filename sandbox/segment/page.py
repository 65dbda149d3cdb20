"""The debugger page: one HTML file with its script and styles, nothing from outside."""

from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

_STATIC = Path(__file__).parent / "static"
_FILES = {"/": "debugger.html", "/debugger.js": "debugger.js", "/debugger.css": "debugger.css"}
_HEADERS = {
    # Messages are hostile text: were one ever taken for markup, nothing of it could run or load.
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"
        " img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "cache-control": "no-cache",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


PAGES = ("/",)
"""What other sites may link to."""


def routes() -> list[Route]:
    """The page and its files."""
    return [Route(path, _file, methods=["GET"]) for path in _FILES]


async def _file(request: Request) -> Response:
    return FileResponse(_STATIC / _FILES[request.url.path], headers=_HEADERS)
