"""The settings of a source, as Segment's CDN gives them: the way to check a write key."""

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from sandbox.segment.answers import misbehave
from sandbox.segment.faults import FaultScript
from sandbox.segment.settings import LiveSettings

_NOT_FOUND = "Cannot GET - Invalid path or write key provided."


class Sources:
    """Answers GET /v1/projects/KEY/settings."""

    def __init__(self, settings: LiveSettings, faults: FaultScript) -> None:
        self._settings = settings
        self._faults = faults

    async def answer(self, request: Request) -> Response:
        """The settings of a known source; 404 for any other key."""
        settings = self._settings.current
        key = request.path_params["key"]
        usual: Response = PlainTextResponse(_NOT_FOUND, 404)
        if settings.knows(key):
            host = settings.api_host or f"{request.url.netloc}/v1"
            usual = JSONResponse(_source(key, host))
        return await misbehave(request, self._faults.take("settings"), usual)


def _source(key: str, api_host: str) -> dict[str, object]:
    """The part of a source's settings that says something about a server-side sender."""
    return {
        "integrations": {
            "Segment.io": {
                "apiKey": key,
                "apiHost": api_host,
                "unbundledIntegrations": [],
                "addBundledMetadata": True,
            }
        },
        "plan": {"track": {"__default": {"enabled": True, "integrations": {}}}},
        "edgeFunction": {},
        "analyticsNextEnabled": True,
        "middlewareSettings": {},
        "enabledMiddleware": {},
        "metrics": {"sampleRate": 0.1},
        "remotePlugins": [],
    }
