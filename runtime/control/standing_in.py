"""Health answers on a thread while the loop is blocked; it ends the process at last.

Workflow code that waits in a call which nothing interrupts keeps the loop, and with it
every request, for as long as it likes. Meanwhile a thread takes the connections and
answers each that the engine is not ready, so that a balancer or a probe need not wait
to find out. It tells nothing of what a request must show to be told: which run it is
stands in the log. If the code does not come back, the process ends; what was durable
is, and the next engine goes on.
"""

import logging
import os
import select
import socket
import ssl
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

LOG: Final = logging.getLogger("everact.control")

EXIT_CODE: Final = 9
"""How a served engine ends that its own workflow code keeps from working."""

LOOK_SECONDS: Final = 0.1
"""How soon it is noticed that the loop turns again."""

PEER_SECONDS: Final = 1.0
"""What one peer may take, for the handshake and for each read and write."""

_LONGEST: Final = 64 * 1024
_BODY: Final = (
    b'{"status":"unready","reason":"workflow code blocks the engine",'
    b'"error":{"type":"RPCError","status":"UNAVAILABLE","message":'
    b'"workflow code blocks the engine; its log tells which","data":{}}}'
)
_ANSWER: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\n"
    b"Content-Type: application/json\r\n"
    b"Cache-Control: no-store\r\n"
    b"X-Content-Type-Options: nosniff\r\n"
    b"Retry-After: 5\r\n"
    b"Connection: close\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(_BODY), _BODY)
)


class StandIn:
    """Stands in at listening sockets of a loop; all methods on any other thread."""

    def __init__(
        self, sockets: Sequence[socket.socket], tls: ssl.SSLContext | None
    ) -> None:
        self._sockets = sockets
        self._tls = tls
        self._over = threading.Event()

    def blocked(self, what: str) -> None:
        """Answer in place of the loop, until it turns."""
        self._over = over = threading.Event()
        threading.Thread(
            target=self._stand_in, args=(over,), name="everact-stand-in", daemon=True
        ).start()

    def turning(self) -> None:
        """The loop answers again."""
        self._over.set()

    def hopeless(self, what: str) -> None:
        """End the process, and say why."""
        text = f"{what}: the engine ends, with exit code {EXIT_CODE}"
        LOG.critical("%s", text)
        with suppress(OSError, ValueError):
            sys.stderr.write(f"everact: {text}\n")
            sys.stderr.flush()
        os._exit(EXIT_CODE)

    def _stand_in(self, over: threading.Event) -> None:
        while not over.is_set():
            try:
                ready, _, _ = select.select(self._sockets, (), (), LOOK_SECONDS)
            except (OSError, ValueError):  # closed: the loop is at work
                return
            for listening in ready:
                with suppress(OSError):
                    peer, _ = listening.accept()
                    with peer:
                        self._refuse(peer)

    def _refuse(self, peer: socket.socket) -> None:
        peer.settimeout(PEER_SECONDS)
        if self._tls is not None:
            peer = self._tls.wrap_socket(peer, server_side=True)
        with peer:
            head = b""
            while b"\r\n\r\n" not in head and len(head) < _LONGEST:
                more = peer.recv(4096)
                if not more:
                    return
                head += more
            peer.sendall(_ANSWER)
            peer.shutdown(socket.SHUT_WR)
            while peer.recv(4096):  # a body that nobody wants: let the answer be seen
                pass
