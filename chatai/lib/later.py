"""A response that is decided on the event loop: for views that wait for something without keeping a thread."""

from collections.abc import Awaitable, Callable

from django.http import HttpResponse
from django.http.response import HttpResponseBase


class LaterResponse(HttpResponse):
    """Returned by a synchronous view; the handler awaits `decide` and answers with its result, under this one's headers."""

    def __init__(self, decide: Callable[[], Awaitable[HttpResponseBase]]) -> None:
        super().__init__()
        self.decide = decide
        del self.headers["Content-Type"]

    async def resolve(self) -> HttpResponseBase:
        response = await self.decide()
        for name, value in self.headers.items():
            if name != "Content-Length":  # counted by a middleware when there was nothing yet
                response.headers.setdefault(name, value)
        for name, cookie in self.cookies.items():  # such as a message that is shown on the next page
            response.cookies.setdefault(name, cookie)
        return response
