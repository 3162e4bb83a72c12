"""What the demo model says: Markdown chosen by words in the question. Pure; the same question gets the same answer."""

import re
import zlib
from collections.abc import Callable

LABEL = "**This is the demo model:** its answers are scripted, no AI is behind them."
COUNT_LIMIT = 2000

TABLE = """Here is a table, drawn on the server as it streams in:

| Planet | Moons | Day (hours) | Year (days) |
|:--|--:|--:|--:|
| Mercury | 0 | 4,222.6 | 88 |
| Earth | 1 | 24 | 365.2 |
| Mars | 2 | 24.7 | 687 |
| Jupiter | 97 | 9.9 | 4,331 |

Wide tables scroll sideways inside themselves, so the page never does."""

CODE = '''A small program, highlighted when its block closes:

```python
from collections import Counter


def most_common(text: str, count: int = 3) -> list[tuple[str, int]]:
    """The words that occur most often, most frequent first."""
    words = (word.strip(".,;:!?").lower() for word in text.split())
    return Counter(filter(None, words)).most_common(count)


print(most_common("to be or not to be, that is the question"))
# [('to', 2), ('be', 2), ('or', 1)]
```

The button in its corner copies the code. `most_common` reads the text once, so it is linear in its length.'''

MATHS = r"""The quadratic equation $ax^2 + bx + c = 0$ with $a \neq 0$ has the solutions

$$
x_{1,2} = \frac{-b \pm \sqrt{b^2 - 4ac}}{2a}
$$

Its discriminant $b^2 - 4ac$ tells how many of them are real. And because everyone likes it:

$$
e^{i\pi} + 1 = 0
$$"""

DIAGRAM = """The way of a message through this product:

```mermaid
flowchart LR
    You -->|message| Web
    Web -->|turn| Database[(PostgreSQL)]
    Database -->|claim| Replies
    Replies <-->|stream| Model
    Replies -->|journal| Database
    Database -->|frames| You
```

Nothing is shown that is not in the database first."""

LISTS = """A plan, as a list with tasks:

1. **Try it** without a key
   - send a few messages
   - reload in the middle of an answer
2. **Connect a model**
   - [x] read about the settings
   - [ ] set a provider's key
   - [ ] choose the default model
3. **Invite people**

- [x] Done things have a tick
- [ ] Open things do not"""

FOOTNOTES = """Footnotes keep the text short.[^short] They are numbered in the order they appear,[^order] wherever they are written.

[^short]: The details wait down here.
[^order]: This one came second."""

BODIES = (
    """Ask me for *a table*, *some code*, *a formula*, *a diagram*, *a to-do list*, *footnotes* or *a long answer*, \
or tell me to *count to 100*. Reload the page while I answer: nothing is lost.""",
    """I can show how answers look here:

- **Markdown** with tables, lists and footnotes
- highlighted `code` with a copy button
- formulas such as $E = mc^2$, and diagrams

Try *"show me a table"* or *"a long answer, please"*, and press *Stop* whenever you like.""",
    """While this text streams in, you can open the same chat in a second tab, or close this one: the answer goes on either way.

> Whatever a person saw is never lost.

Say *"write some Python"* or *"draw a diagram"* to see more.""",
)

PARAGRAPHS = (
    """A conversation looks simple from the outside. Someone types, someone answers, and the page scrolls. Behind it, each \
message becomes a row that outlives every process that touched it, and each word of the answer is written down before it is \
shown. That order matters more than it seems, because it turns every failure into a pause.""",
    """Think of a letter. The writer puts it into the box, and from then on it is the post office that cares. Nobody has to \
stand beside the box and wait. In the same way an answer does not need the page that asked for it: the page is a window, and \
a window may be closed without stopping what happens outside.""",
    """When the window opens again, the view is complete at once. There is no need to remember what had been seen before, or \
to ask for the missing part. The current state arrives first, then whatever is new. It is a plain rule, and it removes a whole \
family of errors that appear only on trains, in lifts and behind slow proxies.""",
    """Speed comes from doing little. A word that arrives is passed on as it is; several words that arrive together travel \
together. Nobody counts them, nobody waits for a round number. A reader on a slow line receives fewer and newer pictures of the \
same text, and still ends up with every letter of it.""",
    """Money deserves the same care as words. Before a model is asked, the price of the worst case is set aside; when the \
answer is complete, the real figure replaces it. So a limit is a limit, even if a hundred questions are asked in the same \
moment, and the sum at the end of the month can be explained line by line.""",
    """Tools widen what an answer can be. A search, a calculation, a look into a calendar: each is written down with what was \
asked and what came back, before and after it happened. Later, when someone wonders why an answer says what it says, the trail \
is there to be read, without guesswork and without a special mode that had to be switched on.""",
    """Old conversations are worth as much as new ones. A good idea from last winter helps only if it can be found again, by \
what it meant rather than by the exact words that were used. So everything that was said is kept in one history, in order, \
under the eyes of nobody but its owner, and a question about it can be asked in plain language.""",
    """Models come and go, and their names change faster than anyone likes. A conversation should not care. The history is \
kept in a shape that belongs to no provider, and is translated for whichever model answers next. A chat that began with a small \
model may go on with a large one, and come back, without starting over.""",
    """None of this is visible, and that is the point. What remains on the screen is a quiet page, a text that grows, and a \
button that stops it. If you press it now, the text so far will stay. If you do not, this paragraph is the last but one.""",
    """And so the long answer ends where it began, with a simple conversation. You have seen about six hundred words arrive \
one by one, at a pace a person can read, and any of them could have been the moment to reload the page. Try it with the next \
one.""",
)


def answer(question: str, turn: int) -> str:
    """Markdown for a question, `turn` counting the person's messages from 1."""
    counted = re.search(r"\bcount (?:up )?to (\d{1,6})\b", question, re.IGNORECASE)
    if counted:
        return f"{LABEL} Counting:\n\n{count_to(int(counted[1]))}"
    body = next((body for pattern, body in TOPICS if re.search(pattern, question, re.IGNORECASE)), None)
    if body is not None:
        return f"{LABEL}\n\n{body() if callable(body) else body}"
    return f"{LABEL} {_greeting(question, turn)}\n\n{BODIES[(zlib.crc32(question.encode()) + turn) % len(BODIES)]}"


def count_to(last: int) -> str:
    return " ".join(str(number) for number in range(1, min(last, COUNT_LIMIT) + 1)) + "."


def thoughts(question: str) -> str | None:
    """What is shown as reasoning, when the question asks for it."""
    if not re.search(r"\b(think|reason|step by step)\b", question, re.IGNORECASE):
        return None
    return "The person asks to see the reasoning. I am a script, so there is none; I say so, and show what it would look like."


def title(text: str) -> str:
    """A short title from the first words of a conversation, or of an excerpt of one (`user: …`)."""
    question = re.split(r"\n+assistant:", re.sub(r"^\s*user:\s*", "", text))[0]
    words = re.sub(r"[^\w\s'’+#-]", " ", question).split()[:6]
    said = " ".join(words).strip(" -'’")[:60]
    return said[:1].upper() + said[1:] or "New chat"


def _long() -> str:
    return "## A long answer\n\n" + "\n\n".join(PARAGRAPHS)


def _greeting(question: str, turn: int) -> str:
    words = re.sub(r"[^\w\s'’,-]", " ", question).split()
    quote = " ".join(words[:8]) + (" …" if len(words) > 8 else "")
    if not quote:
        return "Hello!"
    return f"Hello! You wrote “{quote}”." if turn == 1 else f"Message {turn} of this chat: “{quote}”."


TOPICS: tuple[tuple[str, str | Callable[[], str]], ...] = (
    (r"\b(mermaid|diagram|flow ?chart)\b", DIAGRAM),
    (r"\b(maths?|mathematics|formulas?|equations?|latex|katex)\b", MATHS),
    (r"\b(python|code|program|function|script)\b", CODE),
    (r"\bfoot ?notes?\b", FOOTNOTES),
    (r"\btables?\b", TABLE),
    (r"\b(lists?|tasks?|to-?do|plan)\b", LISTS),
    (r"\b(long|essay|story)\b", _long),
)
