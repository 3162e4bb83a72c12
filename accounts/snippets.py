"""The main calls of the API as people paste them: for a shell, for Python's standard library, for JavaScript's `fetch`."""

from __future__ import annotations

from dataclasses import dataclass

LANGUAGES = {"curl": "curl", "python": "Python", "javascript": "JavaScript"}


@dataclass(frozen=True, slots=True)
class Call:
    """One thing to do, in every language. `HOST` and `MODEL` stand for what `calls` fills in."""

    title: str
    about: str
    code: dict[str, str]


PYTHON = """\
import json, os, urllib.request, uuid

def call(path, body=None, **headers):
    request = urllib.request.Request("HOST" + path, headers=headers)
    request.add_header("Authorization", "Bearer " + os.environ["CHATAI_KEY"])
    if body is not None:
        request.data = json.dumps(body).encode()
        request.add_header("Content-Type", "application/json")
    return urllib.request.urlopen(request)

"""
PYTHON_EVENTS = """\
    for line in answer:
        if line.startswith(b"data: "):
            event = json.loads(line[6:])
            if event["type"] == "content_block_delta":
                print(event["delta"].get("text", ""), end="", flush=True)
"""
JAVASCRIPT = """\
const call = (path, options = {}) => fetch("HOST" + path, {
  ...options,
  headers: { Authorization: `Bearer ${process.env.CHATAI_KEY}`, "Content-Type": "application/json", ...options.headers },
});

"""
JAVASCRIPT_EVENTS = """\
let text = "";
for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
  const events = (text + chunk).split("\\n\\n");
  text = events.pop();
  for (const event of events) {
    const data = event.split("\\n").find((line) => line.startsWith("data: "));
    const { delta } = data ? JSON.parse(data.slice(6)) : {};
    if (delta?.text) process.stdout.write(delta.text);
  }
}
"""

CALLS = (
    Call(
        "Create a thread",
        "A conversation that remembers what was said. end_user_id is your own name for the person it belongs to.",
        {
            "curl": """\
curl "HOST/v1/threads" \\
  -H "Authorization: Bearer $CHATAI_KEY" \\
  -H "Content-Type: application/json" \\
  -d '{"end_user_id": "user_42"}'
""",
            "python": PYTHON
            + """\
thread = json.load(call("/v1/threads", {"end_user_id": "user_42"}))
print(thread["id"])
""",
            "javascript": JAVASCRIPT
            + """\
const created = await call("/v1/threads", { method: "POST", body: JSON.stringify({ end_user_id: "user_42" }) });
const thread = await created.json();
console.log(thread.id);
""",
        },
    ),
    Call(
        "Send a message and stream the answer",
        "Only the new message is sent. With the same Idempotency-Key it can be repeated safely: it is asked and charged once.",
        {
            "curl": """\
curl -N "HOST/v1/threads/$THREAD_ID/messages" \\
  -H "Authorization: Bearer $CHATAI_KEY" \\
  -H "Content-Type: application/json" \\
  -H "Idempotency-Key: my-message-1" \\
  -d '{"model": "MODEL", "content": "Hello!", "stream": true}'
""",
            "python": PYTHON
            + """\
thread_id = os.environ["THREAD_ID"]
body = {"model": "MODEL", "content": "Hello!", "stream": True}
with call(f"/v1/threads/{thread_id}/messages", body, **{"Idempotency-Key": str(uuid.uuid4())}) as answer:
    print("turn:", answer.headers["x-qlaud-turn-id"])
"""
            + PYTHON_EVENTS,
            "javascript": JAVASCRIPT
            + """\
const response = await call(`/v1/threads/${process.env.THREAD_ID}/messages`, {
  method: "POST",
  headers: { "Idempotency-Key": crypto.randomUUID() },
  body: JSON.stringify({ model: "MODEL", content: "Hello!", stream: true }),
});
console.log("turn:", response.headers.get("x-qlaud-turn-id"));
"""
            + JAVASCRIPT_EVENTS,
        },
    ),
    Call(
        "List messages",
        "The newest first; go on with before_seq set to next_before_seq of the page before.",
        {
            "curl": """\
curl "HOST/v1/threads/$THREAD_ID/messages?order=desc&limit=30" \\
  -H "Authorization: Bearer $CHATAI_KEY"
""",
            "python": PYTHON
            + """\
thread_id = os.environ["THREAD_ID"]
page = json.load(call(f"/v1/threads/{thread_id}/messages?order=desc&limit=30"))
for message in page["data"]:
    print(message["seq"], message["role"], message["content"])
""",
            "javascript": JAVASCRIPT
            + """\
const listed = await call(`/v1/threads/${process.env.THREAD_ID}/messages?order=desc&limit=30`);
for (const { seq, role, content } of (await listed.json()).data) console.log(seq, role, content);
""",
        },
    ),
    Call(
        "Resume a stream",
        "After a lost connection: TURN_ID is the header x-qlaud-turn-id of the stream that broke, Last-Event-ID the last id: you saw.",
        {
            "curl": """\
curl -N "HOST/v1/threads/$THREAD_ID/turns/$TURN_ID/events" \\
  -H "Authorization: Bearer $CHATAI_KEY" \\
  -H "Last-Event-ID: 5"
""",
            "python": PYTHON
            + """\
thread_id, turn_id = os.environ["THREAD_ID"], os.environ["TURN_ID"]
with call(f"/v1/threads/{thread_id}/turns/{turn_id}/events", **{"Last-Event-ID": "5"}) as answer:
"""
            + PYTHON_EVENTS,
            "javascript": JAVASCRIPT
            + """\
const { THREAD_ID, TURN_ID } = process.env;
const response = await call(`/v1/threads/${THREAD_ID}/turns/${TURN_ID}/events`, { headers: { "Last-Event-ID": "5" } });
"""
            + JAVASCRIPT_EVENTS,
        },
    ),
)


@dataclass(frozen=True, slots=True)
class Block:
    """One call in one language, ready to paste."""

    id: str
    language: str
    label: str
    code: str


@dataclass(frozen=True, slots=True)
class Shown:
    title: str
    about: str
    blocks: list[Block]


def calls(host: str, model: str) -> list[Shown]:
    """`host` with its scheme and without a slash at the end."""
    return [Shown(call.title, call.about, _blocks(call, number, host, model)) for number, call in enumerate(CALLS, 1)]


def _blocks(call: Call, number: int, host: str, model: str) -> list[Block]:
    filled = {language: code.replace("HOST", host).replace("MODEL", model) for language, code in call.code.items()}
    return [Block(f"{language}-{number}", language, LANGUAGES[language], code) for language, code in filled.items()]
