"""The catalogue: one file per tool, one folder per vendor. A module that has a `TOOL` is a tool."""

from importlib import import_module
from pkgutil import walk_packages

from tools.registry import register


def load() -> None:
    """Register every tool of the catalogue; once per process."""
    for found in walk_packages(__path__, f"{__name__}."):
        tool = getattr(import_module(found.name), "TOOL", None)
        if tool is not None:
            register(tool)
