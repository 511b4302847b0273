"""A small Redis on loopback: enough of RESP2 and its commands for all that we ask of one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from fnmatch import fnmatchcase
from typing import Any

Stored = bytes | dict[bytes, bytes] | list[bytes]
Answer = bytes
Session = dict[str, Any]


def bulk(value: bytes | None) -> Answer:
    return b"$-1\r\n" if value is None else b"$%d\r\n%s\r\n" % (len(value), value)


def array(answers: list[Answer]) -> Answer:
    return b"*%d\r\n%s" % (len(answers), b"".join(answers))


def integer(number: int) -> Answer:
    return b":%d\r\n" % number


WRONGTYPE = b"-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"
OK = b"+OK\r\n"
ALWAYS = {
    b"PING": b"+PONG\r\n",
    **dict.fromkeys((b"SELECT", b"CLIENT", b"WATCH", b"UNWATCH"), OK),
    b"TIME": array([bulk(b"1790000000"), bulk(b"500000")]),
}


class FakeRedis:
    """`data` is what it holds, `ttl_s` when a key expires (absent: never).

    `commands` is the log of what was asked. `overrides` answers a command otherwise: bytes to
    send, None for silence, "close" to hang up.
    """

    def __init__(self, data: dict[bytes, Stored] | None = None) -> None:
        self.data: dict[bytes, Stored] = dict(data or {})
        self.ttl_s: dict[bytes, int] = {}
        self.password: bytes | None = None
        self.overrides: dict[bytes, bytes | str | None] = {}
        self.greeting = b""
        self.commands: list[list[bytes]] = []
        self.published: list[tuple[bytes, bytes]] = []
        self.streams: dict[bytes, list[dict[bytes, bytes]]] = {}
        self.subscribers: dict[asyncio.StreamWriter, set[bytes]] = {}
        self.connections = 0
        self.port = 0
        self._was_asked = asyncio.Event()
        self._grown = asyncio.Event()
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        login = f":{self.password.decode()}@" if self.password else ""
        return f"redis://{login}127.0.0.1:{self.port}/0"

    def asked(self, name: bytes) -> int:
        return sum(command[0].upper() == name for command in self.commands)

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until it holds: looked at after each command."""
        while not holds():
            self._was_asked.clear()
            await self._was_asked.wait()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[FakeRedis]:
        await self.start()
        try:
            yield self
        finally:
            await self.stop()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._attend, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening and drop every connection, as a Redis that ends."""
        assert self._server is not None
        self._server.close()
        self.drop_connections()
        await self._server.wait_closed()

    def drop_connections(self) -> None:
        for writer in self._writers:
            writer.close()
        self._wake()

    async def _attend(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        writer.write(self.greeting)
        session: Session = {"trusted": self.password is None, "queued": None, "writer": writer}
        try:
            while (command := await self._read(reader)) is not None:
                self.commands.append(command)
                if command[0].upper() == b"XREAD":
                    await self._until_grown(command[1:], writer)
                answer = self._answer(command, session)
                if answer == "close":
                    break
                self._was_asked.set()
                writer.write(answer if isinstance(answer, bytes) else b"")
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self._writers.discard(writer)
            self.subscribers.pop(writer, None)
            writer.close()

    @staticmethod
    async def _read(reader: asyncio.StreamReader) -> list[bytes] | None:
        head = await reader.readline()
        if not head:
            return None
        words = []
        for _ in range(int(head[1:])):
            size = int((await reader.readline())[1:])
            words.append((await reader.readexactly(size + 2))[:-2])
        return words

    def _answer(self, command: list[bytes], session: Session) -> bytes | str | None:
        name, words = command[0].upper(), command[1:]
        if name == b"EXEC" and name in self.overrides:
            session["queued"] = None
        if name in self.overrides:
            return self.overrides[name]
        if name == b"AUTH":
            session["trusted"] = words[-1] == self.password
            return OK if session["trusted"] else b"-WRONGPASS invalid username-password pair\r\n"
        if not session["trusted"]:
            return b"-NOAUTH Authentication required.\r\n"
        if name in (b"MULTI", b"EXEC"):
            return self._transaction(name, session)
        if session["queued"] is not None:
            session["queued"].append((name, words))
            return b"+QUEUED\r\n"
        if name == b"SUBSCRIBE":
            return self._subscribe(words, session["writer"])
        return self._known(name, words)

    def _transaction(self, name: bytes, session: Session) -> bytes:
        if name == b"MULTI":
            session["queued"] = []
            return OK
        queued, session["queued"] = session["queued"], None
        return array([self._known(*command) for command in queued])

    def _subscribe(self, channels: list[bytes], writer: asyncio.StreamWriter) -> bytes:
        self.subscribers.setdefault(writer, set()).update(channels)
        return b"".join(
            array([bulk(b"subscribe"), bulk(channel), integer(number)])
            for number, channel in enumerate(channels, 1)
        )

    def publish(self, channel: bytes, content: bytes) -> int:
        """Send a message to whoever has subscribed."""
        self.published.append((channel, content))
        heard = [writer for writer, channels in self.subscribers.items() if channel in channels]
        for writer in heard:
            writer.write(array([bulk(b"message"), bulk(channel), bulk(content)]))
        return len(heard)

    def add_entry(self, stream: bytes, fields: dict[bytes, bytes]) -> bytes:
        """Append to a stream; entries are numbered from 1."""
        entries = self.streams.setdefault(stream, [])
        entries.append(fields)
        self._wake()
        return b"%d-0" % len(entries)

    async def _until_grown(self, words: list[bytes], writer: asyncio.StreamWriter) -> None:
        stream, last = words[-2], int(words[-1].split(b"-")[0])
        while len(self.streams.get(stream, ())) <= last and not writer.is_closing():
            await self._grown.wait()

    def _wake(self) -> None:
        self._grown.set()
        self._grown = asyncio.Event()

    def _entries(self, stream: bytes, after: int) -> bytes:
        return array(
            [
                array([bulk(b"%d-0" % number), array([bulk(w) for kv in f.items() for w in kv])])
                for number, f in enumerate(self.streams.get(stream, ()), 1)
                if number > after
            ]
        )

    def _known(self, name: bytes, words: list[bytes]) -> bytes:
        if name in ALWAYS:
            return ALWAYS[name]
        if name == b"PUBLISH" or name[:1] == b"X":
            return self._about_streams(name, words)
        return self._about_keys(name, words)

    def _about_streams(self, name: bytes, words: list[bytes]) -> bytes:
        match name:
            case b"PUBLISH":
                return integer(self.publish(*words))
            case b"XADD":
                fields = words[words.index(b"*") + 1 :]
                entry = dict(zip(fields[::2], fields[1::2], strict=True))
                return bulk(self.add_entry(words[0], entry))
            case b"XREVRANGE":
                count = len(self.streams.get(words[0], ()))
                return self._entries(words[0], max(0, count - int(words[-1])))
            case b"XREAD":
                entries = self._entries(words[-2], int(words[-1].split(b"-")[0]))
                return array([array([bulk(words[-2]), entries])])
        return b"-ERR unknown command '%s'\r\n" % name

    def _about_keys(self, name: bytes, words: list[bytes]) -> bytes:
        match name:
            case b"GET":
                found = self.data.get(words[0])
                return WRONGTYPE if isinstance(found, dict | list) else bulk(found)
            case b"SCAN":
                return self._scan(words)
            case b"SET":
                return self._set(words)
            case b"DEL":
                return integer(sum(self.data.pop(word, None) is not None for word in words))
            case b"STRLEN":
                value = self.data.get(words[0], b"")
                return integer(len(value)) if isinstance(value, bytes) else WRONGTYPE
            case b"TTL":
                return integer(-2 if words[0] not in self.data else self.ttl_s.get(words[0], -1))
            case b"MGET":
                values = [self.data.get(word) for word in words]
                return array([bulk(v if isinstance(v, bytes) else None) for v in values])
            case b"HMGET":
                fields = self.data.get(words[0], {})
                if not isinstance(fields, dict):
                    return WRONGTYPE
                return array([bulk(fields.get(word)) for word in words[1:]])
        return b"-ERR unknown command '%s'\r\n" % name

    def _set(self, words: list[bytes]) -> bytes:
        key, value, *options = words
        self.data[key] = value
        self.ttl_s.pop(key, None)
        if options[:1] == [b"EX"]:
            self.ttl_s[key] = int(options[1])
        return OK

    def _scan(self, words: list[bytes]) -> bytes:
        options = dict(zip(words[1::2], words[2::2], strict=True))
        start, count = int(words[0]), int(options.get(b"COUNT", b"10"))
        pattern = options.get(b"MATCH", b"*").decode()
        keys = sorted(self.data)
        part = [k for k in keys[start : start + count] if fnmatchcase(k.decode("latin1"), pattern)]
        following = start + count if start + count < len(keys) else 0
        return array([bulk(b"%d" % following), array([bulk(key) for key in part])])
