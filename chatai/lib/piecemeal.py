"""Packages that gather the names of a thousand modules, of which one is asked for: imported module by module.

The SDKs of vendors have a module for every object of an API, and an `__init__` that imports them all, and clients for every cloud:
for the one client that is used here, 41 MB in Anthropic's and 13 in OpenAI's. Read this way it is 13 and 2, and a second less.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import resolve_name
from types import ModuleType
from typing import Any


def read_piecemeal(*packages: str) -> None:
    """From now on `__init__` of these packages and of all below is not run: a name that it would import is imported when asked for.

    Whoever asks for anything else in it, such as something that it defines, has it run as it is. So all names are there as ever;
    what it does besides (these set up logging if a variable says so) waits until then. Packages that are imported already stay.
    """
    sys.meta_path.insert(0, _Finder(packages))


class _Finder(MetaPathFinder):
    def __init__(self, packages: Sequence[str]) -> None:
        self.packages = packages

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if fullname.partition(".")[0] not in self.packages:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec and spec.submodule_search_locations is not None and type(spec.loader) is SourceFileLoader:
            spec.loader = _Piecemeal(fullname, spec.loader.path)
        return spec


class _Piecemeal(SourceFileLoader):
    def exec_module(self, module: ModuleType) -> None:
        gathered = self._gathered()
        if any(source.endswith(f".{name}") for name, (source, _) in gathered.items()):
            super().exec_module(module)  # a name that is a module's too: which of them it is depends on the order
            return
        run = super().exec_module

        def named(name: str) -> Any:
            if name in gathered:
                source, original = gathered[name]
                value = getattr(import_module(source), original)
            elif name.startswith("__") and name != "__all__":
                raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")
            elif PathFinder.find_spec(f"{module.__name__}.{name}", module.__path__):
                value = import_module(f"{module.__name__}.{name}")
            else:
                vars(module).pop("__getattr__", None)
                run(module)
                return getattr(module, name)
            setattr(module, name, value)
            return value

        vars(module)["__getattr__"] = named

    def _gathered(self) -> dict[str, tuple[str, str]]:
        """By the name that it gets: the module that it comes from and its name there."""
        found = {}
        for node in ast.parse(self.get_data(self.path)).body:
            if isinstance(node, ast.ImportFrom) and node.level and node.module:
                source = resolve_name("." * node.level + node.module, self.name)
                found.update({alias.asname or alias.name: (source, alias.name) for alias in node.names})
        return found
