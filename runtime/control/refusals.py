"""What the endpoint answers before, or instead of, an operation; and on every answer.

The body has the shape of every error of the API; the HTTP status is the exact one for
what is wrong with the request, not that of an operation's refusal. Nothing that came
in is repeated, except the name of a host, which its owner must be told.
"""

from typing import Final

from aiohttp import hdrs, web
from multidict import CIMultiDict

from everact.runtime.core.statuses import RPCStatus
from everact.runtime.errors import RPCError
from everact.runtime.wire.refusals import HTTP_STATUS, encode_error

SECURITY_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'; "
        "form-action 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Refusal(Exception):
    """A request that goes no further. `closing` ends its connection as well."""

    def __init__(
        self,
        http_status: int,
        status: RPCStatus,
        message: str,
        *,
        headers: dict[str, str] | None = None,
        closing: bool = False,
    ) -> None:
        super().__init__(message)
        self.http_status = http_status
        self.status = status
        self.message = message
        self.headers = headers
        self.closing = closing

    def response(self) -> web.Response:
        """As JSON, like every error."""
        _, body = encode_error(RPCError(self.message, self.status))
        made = web.Response(
            status=self.http_status,
            body=body,
            content_type="application/json",
            headers=self.headers,
        )
        secure(made.headers)
        if self.closing:
            made.force_close()
        return made


def refused(error: RPCError, how: str = "") -> Refusal:
    """What the door says of a caller; `how` tells one without a token to send it."""
    status, message = error.status, str(error)
    headers: dict[str, str] = {}
    if status is RPCStatus.UNAUTHENTICATED:
        headers[hdrs.WWW_AUTHENTICATE] = 'Bearer realm="everact"'
        message += how
    return Refusal(HTTP_STATUS[status], status, message, headers=headers)


def secure(headers: CIMultiDict[str]) -> None:
    """Add what every answer carries; a handler may only choose how it is cached."""
    headers.update(SECURITY_HEADERS)
    headers.setdefault("Cache-Control", "no-store")
