"""The files that sandboxed code sees: in memory, empty at first, few and small."""

from __future__ import annotations

import sys
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from tools.made_files import TYPES, file_block

if TYPE_CHECKING:
    from pydantic_monty import OsFunction

MOST_WRITTEN = 4 * 1024 * 1024  # bytes as they come here, counted as they are written, so that rewriting a file costs too
MOST_FILES = 20  # files and directories
MOST_PATH = 200  # characters
WRITES = ("Path.write_text", "Path.write_bytes", "Path.append_text", "Path.append_bytes")
BYTES: dict[OsFunction, OsFunction] = {"Path.write_text": "Path.write_bytes", "Path.append_text": "Path.append_bytes"}
MAKES = ("Path.mkdir", "open", *WRITES)


class Files:
    """Answers what code asks of its operating system. Everything but these files does not exist."""

    def __init__(self) -> None:
        from pydantic_monty import OSAccess  # 10 MB that only a process which runs code needs

        self._disk = OSAccess()
        self._written = 0
        self._paths: set[str] = set()

    def __call__(self, *, name: OsFunction, args: tuple[Any, ...], kwargs: dict[str, Any], is_async: bool, **more: Any) -> Any:
        if args and not isinstance(args[0], int | float):
            self._check_path(name, getattr(args[0], "path", args[0]))
        if name in WRITES:
            self._written += sys.getsizeof(args[1])  # without a copy of it; text with wide characters takes more than its length
            if self._written > MOST_WRITTEN:
                raise OSError(f"No space left: {MOST_WRITTEN // 2**20} MiB have been written.")
            if isinstance(args[1], str):  # kept as bytes: one wide character would make four of each of a file's
                name = BYTES[name]
                self._disk(name=name, args=(args[0], args[1].encode()), kwargs=kwargs, is_async=is_async, **more)
                return len(args[1])
        return self._disk(name=name, args=args, kwargs=kwargs, is_async=is_async, **more)

    def _check_path(self, name: str, path: PurePosixPath | str) -> None:
        pieces = path.parts if isinstance(path, PurePosixPath) else (path,)  # a long one is not put together first
        if sum(map(len, pieces)) > MOST_PATH:
            raise OSError("The path is too long.")
        if name in MAKES:
            self._paths.add(str(path))
            if len(self._paths) > MOST_FILES:
                raise OSError(f"No space left: there are at most {MOST_FILES} files.")

    def blocks(self) -> list[dict[str, Any]]:
        """What was written and not taken away, for the person."""
        made = []
        for file in self._disk.files:
            if file.deleted or file.name.startswith("."):
                continue
            content = file.read_content()
            ending = file.name.rpartition(".")[2].lower()
            data = content.encode() if isinstance(content, str) else content  # text: opened, and never written to
            made.append(file_block(file.name[:120], data, TYPES.get(ending, "application/octet-stream")))
        return made
