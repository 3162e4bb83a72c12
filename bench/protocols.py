"""How each vendor's protocol spells a script, as timed writes."""

import json
import random
from functools import lru_cache
from typing import Any

from bench.script import Script, numbered

Step = tuple[float, bytes | None, bool]  # milliseconds to wait, bytes (None: cut the connection), is it the first token


def sse(payload: Any, event: str = "") -> bytes:
    name = f"event: {event}\n" if event else ""
    return f"{name}data: {json.dumps(payload, ensure_ascii=False, separators=(',', ':'))}\n\n".encode()


class Anthropic:
    """Messages API. A block index is written into each frame, so the index of the text block is part of a token's key."""

    ping = sse({"type": "ping"}, "ping")
    done = sse({"type": "message_stop"}, "message_stop")

    @staticmethod
    def event(kind: str, **rest: Any) -> bytes:
        return sse({"type": kind, **rest}, kind)

    def opening(self, script: Script, model: str, input_tokens: int) -> bytes:
        usage = {} if script.no_usage else {"input_tokens": input_tokens, "output_tokens": 1, "cache_read_input_tokens": script.cached}
        message = {"id": "msg_scripted", "type": "message", "role": "assistant", "model": model, "content": [], "usage": usage}
        return self.event("message_start", message={**message, "stop_reason": None, "stop_sequence": None})

    def before_text(self, script: Script) -> list[bytes]:
        """Thinking and blocks of other kinds."""
        frames, index = [], 0
        if script.reasoning:
            frames.append(self._open(index, {"type": "thinking", "thinking": "", "signature": ""}))
            frames += [self._delta(index, {"type": "thinking_delta", "thinking": word}) for word in numbered("t", script.reasoning)]
            frames.append(self._delta(index, {"type": "signature_delta", "signature": "sig+/=="}) + self._close(index))
            index += 1
        if script.redacted:
            frames.append(self._open(index, {"type": "redacted_thinking", "data": "opaque"}) + self._close(index))
            index += 1
        if script.unknown:
            frames.append(self.event("telemetry", level=3) + self._open(index, {"type": "hologram", "beam": 7}))
            frames.append(self._delta(index, {"type": "hologram_delta", "beam": 8}) + self._close(index))
        return frames

    def text_index(self, script: Script) -> int:
        return bool(script.reasoning) + script.redacted + script.unknown

    def text_open(self, script: Script) -> bytes:
        return self._open(self.text_index(script), {"type": "text", "text": ""})

    def text_close(self, script: Script) -> bytes:
        return self._close(self.text_index(script))

    def token(self, script: Script, word: str, count: int) -> bytes:
        return _anthropic_token(self.text_index(script), word)

    def tools(self, script: Script) -> list[bytes]:
        frames: list[bytes] = []
        for number, name in enumerate(script.tool):
            index = self.text_index(script) + bool(script.words()) + number
            block = {"type": "tool_use", "id": f"toolu_{number}", "name": name, "input": {}}
            frames.append(self._open(index, block))
            frames += [self._delta(index, {"type": "input_json_delta", "partial_json": piece}) for piece in _pieces(script, number)]
            frames.append(self._close(index))
        return frames

    def closing(self, script: Script, output_tokens: int, input_tokens: int) -> bytes:
        reason = script.stop or ("tool_use" if script.tool else "end_turn")
        usage = {} if script.no_usage else {"output_tokens": output_tokens}
        return self.event("message_delta", delta={"stop_reason": reason, "stop_sequence": None}, usage=usage) + self.done

    def error(self, script: Script) -> dict[str, Any]:
        return {"type": "error", "error": {"type": script.error or _ERROR_TYPES.get(script.status, "api_error"), "message": script.message}}

    def error_frame(self, script: Script) -> bytes:
        return sse(self.error(script), "error")

    def whole(self, script: Script, model: str, input_tokens: int) -> dict[str, Any]:
        words = script.words()
        return {
            "id": "msg_scripted",
            "type": "message",
            "role": "assistant",
            "model": model,
            "content": [{"type": "text", "text": "".join(words)}],
            "stop_reason": script.stop or "end_turn",
            "stop_sequence": None,
            "usage": {"input_tokens": input_tokens, "output_tokens": len(words)},
        }

    def _open(self, index: int, block: dict[str, Any]) -> bytes:
        return self.event("content_block_start", index=index, content_block=block)

    def _delta(self, index: int, delta: dict[str, Any]) -> bytes:
        return self.event("content_block_delta", index=index, delta=delta)

    def _close(self, index: int) -> bytes:
        return self.event("content_block_stop", index=index)


class OpenAI:
    """Chat completions."""

    ping = b": keep-alive\n\n"
    done = b"data: [DONE]\n\n"

    def opening(self, script: Script, model: str, input_tokens: int) -> bytes:
        return _openai_chunk(json.dumps({"role": "assistant", "content": ""}))

    def before_text(self, script: Script) -> list[bytes]:
        frames = [_openai_chunk(json.dumps({"reasoning_content": word})) for word in numbered("t", script.reasoning)]
        return [*frames, sse({"object": "telemetry", "level": 3})] if script.unknown else frames

    def text_open(self, script: Script) -> bytes:
        return b""

    def text_close(self, script: Script) -> bytes:
        return b""

    def token(self, script: Script, word: str, count: int) -> bytes:
        usage = _openai_usage(script, 10, count) if script.usage_every_chunk else None
        return _openai_chunk(json.dumps({"content": word}, ensure_ascii=False), usage=json.dumps(usage) if usage else "")

    def tools(self, script: Script) -> list[bytes]:
        calls: list[list[dict[str, Any]]] = []
        for number, name in enumerate(script.tool):
            head = {"index": number, "id": f"call_{number}", "type": "function", "function": {"name": name, "arguments": ""}}
            calls.append([head, *({"index": number, "function": {"arguments": piece}} for piece in _pieces(script, number))])
        order = [call[step] for step in range(max(map(len, calls), default=0)) for call in calls if step < len(call)]
        flat = order if script.interleave else [piece for call in calls for piece in call]
        return [_openai_chunk(json.dumps({"tool_calls": [piece]})) for piece in flat]

    def closing(self, script: Script, output_tokens: int, input_tokens: int) -> bytes:
        reason = script.stop or ("tool_calls" if script.tool else "stop")
        frames = _openai_chunk("{}", finish=reason)
        if not script.no_usage:
            frames += sse({**_OPENAI_HEAD, "choices": [], "usage": _openai_usage(script, input_tokens, output_tokens)})
        return frames if script.no_done else frames + self.done

    def error(self, script: Script) -> dict[str, Any]:
        kind = script.error or _ERROR_TYPES.get(script.status, "server_error")
        return {"error": {"message": script.message, "type": kind, "param": None, "code": script.error or None}}

    def error_frame(self, script: Script) -> bytes:
        return sse(self.error(script))

    def whole(self, script: Script, model: str, input_tokens: int) -> dict[str, Any]:
        words = script.words()
        message = {"role": "assistant", "content": "".join(words)}
        choice = {"index": 0, "message": message, "finish_reason": script.stop or "stop"}
        usage = _openai_usage(script, input_tokens, len(words))
        return {**_OPENAI_HEAD, "object": "chat.completion", "model": model, "choices": [choice], "usage": usage}


Dialect = Anthropic | OpenAI

_OPENAI_HEAD = {"id": "chatcmpl-scripted", "object": "chat.completion.chunk", "created": 1, "model": "scripted"}
_ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
    500: "api_error",
    529: "overloaded_error",
}


def _pieces(script: Script, number: int) -> list[str]:
    arguments = script.args[number] if number < len(script.args) else "{}"
    return [arguments[at : at + 5] for at in range(0, len(arguments), 5)]


def _openai_usage(script: Script, input_tokens: int, output_tokens: int) -> dict[str, Any]:
    return {
        "prompt_tokens": input_tokens,
        "completion_tokens": output_tokens,
        "total_tokens": input_tokens + output_tokens,
        "prompt_tokens_details": {"cached_tokens": script.cached},
    }


@lru_cache(maxsize=20_000)
def _anthropic_token(index: int, word: str) -> bytes:
    return Anthropic.event("content_block_delta", index=index, delta={"type": "text_delta", "text": word})


@lru_cache(maxsize=20_000)
def _openai_chunk(delta: str, finish: str = "", usage: str = "") -> bytes:
    choice = {"index": 0, "delta": json.loads(delta), "finish_reason": finish or None}
    return sse({**_OPENAI_HEAD, "choices": [choice], **({"usage": json.loads(usage)} if usage else {})})


def steps(dialect: Dialect, script: Script, model: str, input_tokens: int) -> list[Step]:
    """All writes of an answer, with the wait before each."""
    words = script.words()
    out: list[Step] = [(0, dialect.opening(script, model, input_tokens), False)]
    if script.hang == "first":
        return out
    tokens = [*dialect.before_text(script)]
    thinking = len(tokens)
    tokens += [dialect.token(script, word, count) for count, word in enumerate(words, 1)]
    if words and len(tokens) > thinking:
        tokens[thinking] = dialect.text_open(script) + tokens[thinking]
    stop = failure_at(script, len(words))
    for number, frame in enumerate(tokens):
        if stop is not None and number == thinking + stop:
            break
        ping = dialect.ping if script.ping and number % script.ping == 0 else b""
        out.append((script.delay if number else script.first, ping + frame, number == 0))
    if stop is not None:
        return finish(script, [*out, *failure(dialect, script)])
    tail = [dialect.text_close(script) if words else b"", *dialect.tools(script), dialect.closing(script, len(words), input_tokens)]
    out += [(script.delay if not tokens else 0, frame, False) for frame in tail if frame]
    return finish(script, out)


def failure_at(script: Script, words: int) -> int | None:
    """Number of the text token at which the answer breaks."""
    if script.cut >= 0:
        return script.cut
    if script.malformed >= 0:
        return script.malformed
    if script.error_in_200:
        return script.after
    return script.after or words // 2 if script.hang == "mid" else None


def failure(dialect: Dialect, script: Script) -> list[Step]:
    if script.cut >= 0:
        return [(5, None, False)]  # what was written before has left by then
    if script.malformed >= 0:
        return [(script.delay, b'data: {"type": "content_block_delta", "choices": [{"del\n\n', False)]
    return [(script.delay, dialect.error_frame(script), False)] if script.error_in_200 else []


def finish(script: Script, out: list[Step]) -> list[Step]:
    """Line ends and cuts between writes."""
    if script.crlf:
        out = [(wait, data and data.replace(b"\n", b"\r\n"), first) for wait, data, first in out]
    if script.huge:
        out = [(script.first, b"".join(data for _, data, _ in out if data), True)]
    if not script.split:
        return out
    pieces: list[Step] = []
    dice = random.Random(len(out))
    for wait, data, first in out:
        rest = data
        while rest:
            size = 1 if script.split == "byte" else dice.randint(1, 40)
            pieces.append((wait, rest[:size], first))
            rest, wait, first = rest[size:], 0 if script.split == "byte" else dice.choice((0, 1)), False
        if data is None:
            pieces.append((wait, data, first))
    return pieces
