"""Answers as a fault wants them."""

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from sandbox.segment.connection import reset_connection, send_half, trickle
from sandbox.segment.faults import Fault

_KEPT_HEADERS = ("retry-after", "x-ratelimit-reset")


async def misbehave(request: Request, fault: Fault, usual: Response) -> Response:
    """Returns the answer to a request.

    Args:
        request: The request.
        fault: How to misbehave; an empty one gives the usual answer.
        usual: The answer without a fault.
    """
    await asyncio.sleep(fault.delay_s)
    if fault.resets:
        await reset_connection(request)
        return Response()
    answer = _changed(fault, usual)
    if fault.trickle_s:
        await trickle(request, answer, fault.trickle_s)
    if fault.truncate:
        await send_half(request, answer)
    return answer


def scripted_status(fault: Fault, usual: int) -> int:
    """The status on the wire; 0 when the connection is reset."""
    if fault.resets:
        return 0
    return fault.status or (302 if fault.redirect is not None else usual)


def _changed(fault: Fault, usual: Response) -> Response:
    status = scripted_status(fault, usual.status_code)
    body = bytes(usual.body)
    if fault.body is not None:
        body = fault.body.encode()
    elif status >= 300 and (fault.status is not None or fault.redirect is not None):
        body = b""
    media_type = "application/json" if body.startswith((b"{", b"[")) else "text/plain"
    headers = {}
    if fault.redirect is not None:
        headers["location"] = fault.redirect
    if fault.retry_after is not None:
        headers["retry-after"] = str(fault.retry_after)
    if isinstance(fault.retry_after, int):
        headers["x-ratelimit-reset"] = str(fault.retry_after)
    kept = {name: usual.headers[name] for name in _KEPT_HEADERS if name in usual.headers}
    return Response(body, status, {**kept, **headers}, media_type)
