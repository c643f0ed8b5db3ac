"""Waiting until one of several queues has something, without taking it away.

Redis has no blocking look at a list; a queue that is moved onto itself (BLMOVE, left to left) is one, in a single step
that changes nothing. It takes one queue, so each has a connection of its own with such a command outstanding, and one
poll watches all of them. A blocking command that ends by its own time-out comes back up to 100 ms late, but what ends
it here is a job, or the poll, which is exact.
"""

import select
import socket
from collections.abc import Sequence
from contextlib import suppress

import redis
from redis.connection import Connection

BLOCK_S = 5.0
"""How long Redis keeps one look open; it is asked again after that."""


class QueueWatch:
    """Says when there is something to take. Used by one thread."""

    def __init__(self, client: redis.Redis) -> None:
        self._pool = client.connection_pool
        self._looking: dict[str, Connection] = {}
        self._bell, self._rope = socket.socketpair()
        for end in (self._bell, self._rope):
            end.setblocking(False)

    def ring(self) -> None:
        """End the wait that goes on now, or else the next one. From any thread."""
        with suppress(OSError):  # it has been rung a thousand times already, or nobody waits any more
            self._rope.send(b"!")

    def wait(self, seconds: float, queues: Sequence[str]) -> bool:
        """Return True as soon as one of these queues has something, False after ``seconds`` or when it is rung.

        Raises:
            redis.RedisError: Redis does not answer; the next call starts afresh.
        """
        try:
            return self._wait(seconds, queues)
        except (redis.RedisError, OSError) as error:
            self._stop_looking()
            if isinstance(error, redis.RedisError):
                raise
            raise redis.ConnectionError(str(error)) from error

    def close(self) -> None:
        """Give everything up."""
        self._stop_looking()
        self._bell.close()
        self._rope.close()

    def _stop_looking(self) -> None:
        while self._looking:
            _, connection = self._looking.popitem()
            connection.disconnect()
            self._pool.release(connection)

    def _wait(self, seconds: float, queues: Sequence[str]) -> bool:
        poll = select.poll()
        poll.register(self._bell, select.POLLIN)
        watched: dict[int, str] = {}
        for name in queues:
            # redis-py has no public way to wait for several connections at once.
            sock: socket.socket = self._look_at(name)._sock  # type: ignore[assignment]
            poll.register(sock, select.POLLIN)
            watched[sock.fileno()] = name
        found = False
        for descriptor, _ in poll.poll(seconds * 1000):
            if descriptor == self._bell.fileno():
                self._bell.recv(4096)
                continue
            name = watched[descriptor]
            # Nothing, where Redis' own time-out ended the look.
            found |= self._looking[name].read_response() is not None
            self._pool.release(self._looking.pop(name))
        return found

    def _look_at(self, name: str) -> Connection:
        if name not in self._looking:
            connection = self._looking[name] = self._pool.get_connection()
            key = f"rq:queue:{name}"
            connection.send_command("BLMOVE", key, key, "LEFT", "LEFT", BLOCK_S)
        return self._looking[name]
