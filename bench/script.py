"""What the scripted provider is told to do.

A request carries its script in its last user message, between double brackets: `[[tokens=60 delay=20 text="two words"]]`.
Names and their meaning are the fields of `Script`; a name alone means true. Values with spaces stand in quotes.
"""

import re
import shlex
from dataclasses import dataclass, field, fields
from typing import Any, Literal

BLOCK = re.compile(r"\[\[(.*?)\]\]", re.DOTALL)

MARKDOWN = """## A heading

Some **bold** and *slanted* words, `code`, and a [link](https://example.com).

| A | B |
|---|--:|
| one | 1 |
| two | 2 |

```python
def greet(name: str) -> str:
    return f"Hello, {name}!"
```

- [x] done
- [ ] open

Inline $a^2 + b^2 = c^2$ and a last paragraph.
"""


class ScriptError(ValueError):
    """The directive cannot be read; the message names it."""


@dataclass(slots=True)
class Script:
    tokens: int = 20  # how many; ignored with `text` and `markdown`
    delay: float = 0.0  # milliseconds between tokens
    first: float = 0.0  # milliseconds before the first token, after the headers
    text: str = ""  # this text word by word, instead of "w0 w1 w2 …"
    markdown: bool = False  # a Markdown text word by word
    id: str = ""  # key under which /_stats reports the times of this request
    reasoning: int = 0  # thinking tokens "t0 t1 …" before the text
    redacted: bool = False  # a redacted_thinking block (Anthropic)
    tool: list[str] = field(default_factory=list)  # names of tools to call after the text; repeat for parallel calls
    args: list[str] = field(default_factory=list)  # their arguments as JSON, in the same order
    interleave: bool = False  # pieces of parallel calls take turns (OpenAI)
    unknown: bool = False  # a block and an event of types nobody knows
    stop: str = ""  # stop reason / finish reason, instead of the natural one
    cached: int = 0  # cached input tokens
    no_usage: bool = False
    usage_every_chunk: bool = False  # OpenAI
    no_done: bool = False  # no [DONE] at the end (OpenAI)
    split: Literal["", "random", "byte"] = ""  # how the bytes are cut into writes
    ping: int = 0  # a ping (or comment) before every n-th token
    crlf: bool = False
    huge: bool = False  # everything in one write
    # Failures. `after` says how many text tokens come first.
    after: int = 0
    status: int = 0  # refuse with this HTTP status
    retry_after: str = ""  # header of the refusal, in seconds or as a date
    retry_after_ms: str = ""  # the same in milliseconds
    error: str = ""  # type of the error, in a refusal or in the 200 stream
    message: str = "scripted failure"  # its text
    error_in_200: bool = False
    hang: Literal["", "headers", "first", "mid"] = ""
    cut: int = -1  # close the connection after n tokens
    malformed: int = -1  # broken JSON after n tokens
    key: str = ""  # only for requests with this API key
    times: int = 0  # only the first n requests with the same text fail; 0: all
    begun: str = ""  # set by the server: the partial answer in the request, which is continued

    @property
    def fails(self) -> bool:
        return bool(self.status or self.error_in_200 or self.hang or self.cut >= 0 or self.malformed >= 0)

    def words(self) -> list[str]:
        text = MARKDOWN if self.markdown else self.text
        words = re.findall(r"\s*\S+|\s+$", text) if text else numbered("w", self.tokens)
        whole = "".join(words) if self.begun else ""
        return re.findall(r"\s*\S+\s?", whole[len(self.begun) :]) if self.begun and whole.startswith(self.begun) else words


def numbered(letter: str, count: int) -> list[str]:
    return [f"{letter}{index} " for index in range(count)]


def parse(text: str, **defaults: Any) -> Script:
    """The script in a message; `defaults` for what it does not say."""
    script = Script(**defaults)
    kinds = {one.name: type(getattr(script, one.name)) for one in fields(script)}
    for found in BLOCK.findall(text):
        for part in shlex.split(found):
            name, given, value = part.partition("=")
            kind = kinds.get(name)
            if kind is None:
                raise ScriptError(f"no directive is called {name!r}")
            if kind is list:
                getattr(script, name).append(value)
            else:
                setattr(script, name, value not in ("0", "false") if kind is bool else kind(value) if given else kind(1))
    return script
