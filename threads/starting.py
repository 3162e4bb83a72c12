"""What whoever starts a turn writes into it: the journal's partition, and the first lease of a turn that starts as it is admitted."""

import time

RINGS = 8  # partitions, an hour each, emptied as a whole once nobody can ask for what is in them; the migration made them
GIVEN_SECONDS = 2  # for which a process that was given a turn is waited for


def current_ring() -> int:
    """The partition of turns that start now: the hour, modulo the ring."""
    return int(time.time() // 3600) % RINGS
