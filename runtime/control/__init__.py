"""The control endpoint: what an engine offers over HTTP, and what guards it."""

from everact.runtime.control.serving import Control, serve
from everact.runtime.control.settings import ControlSettings
from everact.runtime.control.tls import ServerTLS
from everact.runtime.door.tokens import Scope, Token, TokenFile

__all__ = [
    "Control",
    "ControlSettings",
    "Scope",
    "ServerTLS",
    "Token",
    "TokenFile",
    "serve",
]
