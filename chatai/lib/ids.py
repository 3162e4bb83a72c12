"""Time-ordered ids."""

import uuid

import uuid_utils.compat


def uuid7() -> uuid.UUID:
    """A UUIDv7: sorts by creation time (milliseconds), random behind it. Source: RFC 9562."""
    return uuid_utils.compat.uuid7()
