"""How often the processes that answer people stop to look for garbage in cycles."""

import gc

YOUNG, MIDDLE, OLD = 20_000, 20, 20  # containers, then passes over the younger ones; Python's own 700, 10, 10 are for small programs


def seldom() -> None:
    """Called once all is imported, which is never looked through again: a pass over it held every stream up for 0.1 to 0.2 s."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, MIDDLE, OLD)
