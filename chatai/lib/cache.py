"""The cache that outlives Redis: while Redis is away, each process counts in its own memory.

What is cached here are rate limits and used one-time codes. Losing Redis must not lock people out (an exception would be a
500 at sign-in) and must not switch the limits off either, so they go on per process until Redis is back.
"""

import logging
import time
from collections.abc import Callable
from typing import Any

from django.core.cache.backends.locmem import LocMemCache
from django.core.cache.backends.redis import RedisCache
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

logger = logging.getLogger(__name__)

TIMEOUT = 1.0  # seconds for a connection or an answer
PAUSE = 5.0  # seconds without asking a Redis that just failed, so that a hanging one does not slow every request

_down_until = 0.0


def _either(name: str) -> Callable[..., Any]:
    with_redis, in_memory = getattr(RedisCache, name), getattr(LocMemCache, name)

    def call(self: "OutlivingCache", *args: Any, **kwargs: Any) -> Any:
        global _down_until
        if time.monotonic() >= _down_until:
            try:
                return with_redis(self, *args, **kwargs)
            except (RedisError, OSError) as error:
                _down_until = time.monotonic() + PAUSE
                logger.warning("cache: Redis is away (%s), counting in this process", type(error).__name__)
        return in_memory(self.memory, *args, **kwargs)

    return call


class OutlivingCache(RedisCache):
    """Django's Redis cache, with this process's memory as the stand-in during an outage."""

    def __init__(self, server: str | list[str], params: dict[str, Any]) -> None:
        impatient = {"socket_connect_timeout": TIMEOUT, "socket_timeout": TIMEOUT, "retry": Retry(NoBackoff(), 1)}
        super().__init__(server, {**params, "OPTIONS": {**impatient, **params.get("OPTIONS", {})}})
        self.memory = LocMemCache("while-redis-is-away", {**params, "OPTIONS": {}})

    add = _either("add")
    get = _either("get")
    set = _either("set")
    touch = _either("touch")
    delete = _either("delete")
    get_many = _either("get_many")
    has_key = _either("has_key")
    incr = _either("incr")
    set_many = _either("set_many")
    delete_many = _either("delete_many")
    clear = _either("clear")
