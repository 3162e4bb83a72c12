"""How an action says no."""


class Refused(Exception):  # noqa: N818 - it is an answer, not a fault
    """The request cannot be done. `message` is a sentence for the person, `status` what an HTTP door answers."""

    def __init__(self, status: int, kind: str, message: str, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.message = message
        self.retry_after = retry_after  # seconds


def missing() -> Refused:
    return Refused(404, "not_found_error", "There is no such conversation.")
