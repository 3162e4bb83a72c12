"""A picture made from words, by the images endpoint of OpenAI or of a service like it."""

import base64
import binascii
from typing import Any

from django.conf import settings

from tools.answers import at
from tools.made_files import file_block
from tools.registry import Builtin, Use
from tools.schemas import choice, secret, takes, text
from tools.signing_in import header
from tools.values import Outcome, ToolError
from tools.vendor import Call, Vendor

CONFIG = takes("openai_api_key", openai_api_key=secret("An API key of OpenAI."))
SECONDS = 120.0
IMAGES = Vendor(
    slug="image-generation",
    brand="The image service",
    base="{+config.address}",
    config=CONFIG,
    auth=header("Authorization", "Bearer {config.openai_api_key}"),
)
CALL = Call(
    method="POST",
    path="/images/generations",
    json={"model": "{config.model}", "prompt": "{prompt}", "size": "{size}", "n": 1},
    most_bytes=25_000_000,
)
SIGNATURES = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg", b"RIFF": "image/webp"}


async def run(arguments: dict[str, Any], use: Use) -> Outcome:
    config = {**(use.config or _operators()), "model": settings.IMAGE_MODEL}
    config.setdefault("address", "https://api.openai.com/v1")
    given = {"size": "1024x1024", **arguments}
    answer = await IMAGES.perform(CALL, given, config, SECONDS)
    try:
        picture = base64.b64decode((at(answer.output, ["data", "b64_json"]) or [""])[0], validate=True)
    except binascii.Error:
        picture = b""
    kind = next((kind for start, kind in SIGNATURES.items() if picture.startswith(start)), None)
    if kind is None:
        raise ToolError("The image service answered without a picture.", "unavailable", answer.http_status)
    block = file_block(f"picture.{kind.partition('/')[2]}", picture, kind)
    return Outcome("The picture is shown to the person.", blocks=(block,), http_status=answer.http_status)


def _operators() -> dict[str, Any]:
    if not settings.OPENAI_API_KEYS:
        return {}
    return {"openai_api_key": settings.OPENAI_API_KEYS[0], "address": settings.OPENAI_BASE_URL}


TOOL = Builtin(
    slug="image-generation",
    display_name="Make an image",
    description="Makes a picture from a description and shows it to the person.",
    brand="OpenAI",
    input_schema=takes(
        "prompt",
        prompt=text("What is to be seen.", least=1, most=4000),
        size=choice("Width and height in pixels.", "1024x1024", "1536x1024", "1024x1536", default="1024x1024"),
    ),
    run=run,
    config_schema=CONFIG,
    auth_mode="either",
    writes=False,
    seconds=SECONDS,
    price_micros=int(settings.IMAGE_PRICE_USD * 1_000_000),
    connection="image-generation",
    ready=lambda: bool(settings.OPENAI_API_KEYS),
)
