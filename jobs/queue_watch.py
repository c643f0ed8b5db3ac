"""Waiting until one of several queues has something, without taking it away.

Redis has no blocking look at a list; a queue that is moved onto itself (BLMOVE, left to left) is one, in a single step
that changes nothing. It takes one queue, so each has a connection of its own with such a command outstanding, and one
poll watches all of them. A blocking command that ends by its own time-out comes back up to 100 ms late, but what ends
it here is a job, or the poll, which is exact.
"""

import select
import socket
from collections.abc import Sequence

import redis
from redis.connection import Connection

BLOCK_S = 5.0
"""How long Redis keeps one look open; it is asked again after that."""


class QueueWatch:
    """Says when there is something to take. Used by one thread."""

    def __init__(self, client: redis.Redis, lists: Sequence[str]) -> None:
        self._pool = client.connection_pool
        self._lists = list(lists)
        self._looking: dict[str, Connection] = {}

    def wait(self, seconds: float) -> bool:
        """Return True as soon as one of the queues has something, False after ``seconds``.

        Raises:
            redis.RedisError: Redis does not answer; the next call starts afresh.
        """
        try:
            return self._wait(seconds)
        except (redis.RedisError, OSError) as error:
            self.close()
            if isinstance(error, redis.RedisError):
                raise
            raise redis.ConnectionError(str(error)) from error

    def close(self) -> None:
        """Give up all looks and their connections."""
        while self._looking:
            _, connection = self._looking.popitem()
            connection.disconnect()
            self._pool.release(connection)

    def _wait(self, seconds: float) -> bool:
        poll = select.poll()
        watched: dict[int, str] = {}
        for name in self._lists:
            # redis-py has no public way to wait for several connections at once.
            sock: socket.socket = self._look_at(name)._sock  # type: ignore[assignment]
            poll.register(sock, select.POLLIN)
            watched[sock.fileno()] = name
        found = False
        for descriptor, _ in poll.poll(seconds * 1000):
            name = watched[descriptor]
            # Nothing, where Redis' own time-out ended the look.
            found |= self._looking[name].read_response() is not None
            self._pool.release(self._looking.pop(name))
        return found

    def _look_at(self, name: str) -> Connection:
        if name not in self._looking:
            connection = self._looking[name] = self._pool.get_connection()
            connection.send_command("BLMOVE", name, name, "LEFT", "LEFT", BLOCK_S)
        return self._looking[name]
