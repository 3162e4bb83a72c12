"""The files the browser runs are the files that were reviewed."""

import hashlib
import re
from pathlib import Path

from django.conf import settings

VENDOR = Path(settings.BASE_DIR) / "static" / "vendor"
LISTED = {path: digest for digest, path in (line.split("  ", 1) for line in (VENDOR / "SHA256SUMS").read_text().splitlines())}


def test_every_vendored_file_has_the_checksum_it_was_pinned_with() -> None:
    found = {
        str(path.relative_to(VENDOR)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in VENDOR.rglob("*")
        if path.is_file() and path.parent != VENDOR
    }
    assert found == LISTED


def test_every_vendored_folder_names_its_version_and_licence() -> None:
    table = (VENDOR / "VENDOR.md").read_text()
    for folder in {path.split("/")[0] for path in LISTED}:
        assert re.search(rf"^\| `{folder}/` \| \S+ \| \d+\.\d+\.\d+ \| .+ \|", table, re.M), folder
        assert (VENDOR / folder / "LICENSE").is_file()


def test_no_vendored_stylesheet_asks_for_a_file_that_is_not_here() -> None:
    for sheet in VENDOR.rglob("*.css"):
        for address in re.findall(r"url\(([^)]+)\)", sheet.read_text()):
            assert (sheet.parent / address.strip("\"'")).is_file(), address
