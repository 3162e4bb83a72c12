"""The channel layer over Redis (CHANNEL_LAYERS): groups by PUBLISH and SUBSCRIBE, one connection for each direction.

Whoever announces a hint is waited for by a person, so a message leaves at once: no pool is asked, no connection tried out, no answer
waited for. Measured with pauses between the messages, two such connections by themselves (with the answers waited for): 0.44 ms for a
message and 70 µs of processor time; through channels_redis it was 0.65 ms and 170 µs.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections import defaultdict, deque
from typing import Any
from uuid import uuid4
from weakref import WeakKeyDictionary

import msgspec
import redis
from channels.layers import BaseChannelLayer
from redis.asyncio import Connection, ConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

logger = logging.getLogger(__name__)

MOST_WAITING = 1000  # messages of one channel; older ones are dropped
MOST_UNANSWERED = 100  # messages that Redis has not acknowledged; then it is waited for
AGAIN_AFTER = 0.5  # seconds before a connection that broke is made anew
TIMEOUT = 1.0  # seconds for a connection
# A connection that ended without a word is noticed within half a minute.
ALIVE = {socket.TCP_KEEPIDLE: 15, socket.TCP_KEEPINTVL: 5, socket.TCP_KEEPCNT: 3} if hasattr(socket, "TCP_KEEPIDLE") else {}

Message = dict[str, Any]
_encode = msgspec.msgpack.Encoder().encode
_decode: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)


class Layer(BaseChannelLayer):  # type: ignore[misc]  # channels comes without types
    """At most once, to groups only. Methods raise RedisError or OSError while Redis is away; who receives just waits."""

    extensions = ("groups",)

    def __init__(self, address: str, prefix: str = "chatai") -> None:
        super().__init__()
        self.address = address
        self.prefix = prefix
        self.lines: WeakKeyDictionary[asyncio.AbstractEventLoop, Lines] = WeakKeyDictionary()
        self.plain: redis.Redis | None = None

    async def new_channel(self, prefix: str = "specific") -> str:
        return f"{prefix}.{uuid4().hex}"

    async def group_add(self, group: str, channel: str) -> None:
        await self._lines().listen(self._name(group), channel)

    async def group_discard(self, group: str, channel: str) -> None:
        self._lines().channels[self._name(group)].discard(channel)

    async def group_send(self, group: str, message: Message) -> None:
        await self._lines().publish(self._name(group), _encode(message))

    def speak(self, group: str, message: Message) -> bool:
        """As `group_send`, but at once or not at all: False where there is no connection to Redis, or Redis is slow."""
        return self._lines().speak(self._name(group), _encode(message))

    async def receive(self, channel: str) -> Message:
        message: Message = await self._lines().queues[channel].get()
        return message

    def send_now(self, group: str, message: Message) -> None:
        """As `group_send`, from a process without a loop."""
        if self.plain is None:
            once = Retry(NoBackoff(), 1)
            self.plain = redis.Redis.from_url(self.address, socket_timeout=TIMEOUT, socket_connect_timeout=TIMEOUT, retry=once)
        self.plain.publish(self._name(group), _encode(message))

    async def close(self) -> None:
        """End the connections of the running loop."""
        if (lines := self.lines.pop(asyncio.get_running_loop(), None)) is not None:
            await lines.close()
        if self.plain is not None:
            self.plain.close()
            self.plain = None

    def _name(self, group: str) -> str:
        return f"{self.prefix}:{group}"

    def _lines(self) -> Lines:
        loop = asyncio.get_running_loop()
        if (lines := self.lines.get(loop)) is None:
            lines = self.lines[loop] = Lines(self.address)
        return lines


class Lines:
    """The two connections of one event loop."""

    def __init__(self, address: str) -> None:
        self.pool: Any = ConnectionPool.from_url(
            address,
            protocol=2,
            socket_connect_timeout=TIMEOUT,
            socket_timeout=None,  # whoever sends has a limit of their own; the client's would cost a task for every command
            socket_keepalive=True,
            socket_keepalive_options=ALIVE,
        )
        self.speaking: Connection | None = None
        self.answers: deque[asyncio.Future[None] | None] = deque()  # who waits for each that is to come
        self.listener: asyncio.Task[None] | None = None  # to the answers
        self.connecting = asyncio.Lock()
        self.joining = asyncio.Lock()
        self.hearing: Connection | None = None
        self.reader: asyncio.Task[None] | None = None
        self.channels: defaultdict[str, set[str]] = defaultdict(set)  # by Redis channel
        self.queues: defaultdict[str, asyncio.Queue[Message]] = defaultdict(lambda: asyncio.Queue(MOST_WAITING))

    def speak(self, name: str, message: bytes) -> bool:
        if self.speaking is None or not self.speaking.is_connected or len(self.answers) >= MOST_UNANSWERED:
            return False
        self._write(self.speaking, name, message, None)
        return True

    async def publish(self, name: str, message: bytes) -> None:
        """Until Redis has it."""
        async with self.connecting:
            if self.speaking is None:
                self.speaking = await self._connected()
                self.listener = asyncio.create_task(self._listen_to_answers(self.speaking))
        speaking, answered = self.speaking, asyncio.get_running_loop().create_future()
        self._write(speaking, name, message, answered)
        try:
            await answered
        except asyncio.CancelledError:  # the caller has waited long enough
            await self._hang_up(speaking, ConnectionError("Redis is slow"))
            raise

    def _write(self, speaking: Connection, name: str, message: bytes, answered: asyncio.Future[None] | None) -> None:
        topic = name.encode()
        self.answers.append(answered)
        # The client's own way goes through a queue of coroutines, and a person waits for each of them.
        writer: Any = speaking._writer
        writer.write(b"*3\r\n$7\r\nPUBLISH\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (len(topic), topic, len(message), message))

    async def _listen_to_answers(self, speaking: Connection) -> None:
        try:
            while True:
                await speaking.read_response()
                answered = self.answers.popleft()
                if answered is not None and not answered.done():
                    answered.set_result(None)
        except (RedisError, OSError) as error:
            await self._hang_up(speaking, error)

    async def _hang_up(self, speaking: Connection, error: Exception) -> None:
        if speaking is not self.speaking:
            return
        answers, self.answers, self.speaking = self.answers, deque(), None
        if unheard := answers.count(None):
            logger.warning("%d hints may not have been sent: %s", unheard, type(error).__name__)
        for answered in answers:
            if answered is not None and not answered.done():
                answered.set_exception(error)
        if self.listener is not None and self.listener is not asyncio.current_task():
            self.listener.cancel()
        await speaking.disconnect(nowait=True)

    async def listen(self, name: str, channel: str) -> None:
        self.channels[name].add(channel)
        try:
            async with self.joining:
                if self.reader is None:
                    self.hearing = await self._subscribed()
                    self.reader = asyncio.create_task(self._read())
                elif self.hearing is not None:  # else the reader is about to subscribe to all of them
                    await self.hearing.send_command("SUBSCRIBE", name)
        except BaseException:  # whoever tries again does so with another channel
            self.channels[name].discard(channel)
            raise

    async def close(self) -> None:
        for task in (self.reader, self.listener):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        for connection in (self.speaking, self.hearing):
            if connection is not None:
                await connection.disconnect(nowait=True)

    async def _connected(self) -> Connection:
        made = self.pool.make_connection()
        await made.connect()
        connection: Connection = made
        return connection

    async def _subscribed(self) -> Connection:
        connection = await self._connected()
        await connection.send_command("SUBSCRIBE", *self.channels)
        return connection

    async def _read(self) -> None:
        """Hand out what comes, for ever; connects anew when that breaks."""
        while True:
            try:
                if self.hearing is None:
                    self.hearing = await self._subscribed()
                kind, name, message = await self.hearing.read_response()
                if kind == b"message":
                    self._hand_out(name.decode(), _decode.decode(message))
            except (RedisError, OSError, msgspec.MsgspecError) as error:
                logger.warning("waiting for Redis: %s", type(error).__name__)
                hearing, self.hearing = self.hearing, None
                if hearing is not None:
                    await hearing.disconnect(nowait=True)
                await asyncio.sleep(AGAIN_AFTER)

    def _hand_out(self, name: str, message: Message) -> None:
        for channel in self.channels[name]:
            queue = self.queues[channel]
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(message)
