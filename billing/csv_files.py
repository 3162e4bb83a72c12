"""Lists as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from django.http import HttpResponse

MOST_LINES = 20_000  # of one file, which is made in memory: about 4 MB and two seconds
TOO_MANY = f"More than {MOST_LINES:,} lines: ask for a shorter time."
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet would run

Row = Sequence[Any]


def file(name: str, header: Row, rows: Iterable[Row]) -> HttpResponse:
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(header)
    writer.writerows([_plain(cell) for cell in row] for row in rows)
    response = HttpResponse(out.getvalue(), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    response["Cache-Control"] = "no-store"
    return response


def _plain(cell: Any) -> Any:
    """Names and titles are other people's words: none of them becomes a formula."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell
