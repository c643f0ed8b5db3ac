"""gunicorn's threaded worker with two manners of ours: it does not wait for ever, and it does not answer in HTML."""

import json
import socket
import struct
from typing import Any

from gunicorn.workers.gthread import ThreadWorker

READ_WITHIN_S = 15
"""For each piece of a request: a client that stops in the middle of one must not hold a thread for ever."""

# Status and sentence by the name of gunicorn's error; anything else that it refuses is a plain 400.
_REFUSALS = {
    "LimitRequestLine": (414, "The address is longer than 4094 bytes."),
    "LimitRequestHeaders": (431, "The headers are too many or too large."),
    "ExpectationFailed": (417, "This expectation cannot be met."),
    "UnsupportedTransferCoding": (501, "This transfer coding is not known here."),
    "ForbiddenProxyRequest": (403, "This request is not allowed."),
}
_REASONS = {
    400: "Bad Request",
    403: "Forbidden",
    414: "URI Too Long",
    417: "Expectation Failed",
    431: "Request Header Fields Too Large",
    501: "Not Implemented",
}


class Worker(ThreadWorker):  # type: ignore[misc]
    """Requests that do not get as far as the application, in the application's own form."""

    def handle(self, conn: Any) -> Any:
        """Serve one request of a connection."""
        # Set in the kernel: gunicorn makes the socket blocking again and again, which undoes Python's own time-out.
        conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", READ_WITHIN_S, 0))
        return super().handle(conn)

    def handle_error(self, req: Any, client: socket.socket, addr: Any, exc: BaseException) -> None:
        """Refuse what gunicorn could not read: JSON to the client, and nothing of the request in the log."""
        if not type(exc).__module__.startswith("gunicorn.http"):
            super().handle_error(req, client, addr, exc)
            return
        status, sentence = _REFUSALS.get(type(exc).__name__, (400, "The request is not valid HTTP."))
        self.log.info("refused a request that is not valid HTTP: %s", type(exc).__name__)
        error = {"code": "malformed" if status == 400 else "bad_request", "message": sentence}
        body = json.dumps({"success": False, "error": error}).encode()
        head = (
            f"HTTP/1.1 {status} {_REASONS[status]}\r\nConnection: close\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        try:
            client.sendall(head.encode() + body)
        except OSError as error_:
            self.log.debug("the client has gone: %s", error_)
