"""The report as a PDF, typeset by Typst: A4, with page numbers, an outline, and tags for those who listen to it.

Typst comes as a wheel with its own fonts and asks no network. The document reaches it as JSON, never as markup, so
nothing in it can become any; the machine's own fonts are left alone, so that the same data give the same bytes.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import typst

__all__ = ["paper"]


def paper(document: dict[str, Any], pictures: Mapping[str, bytes]) -> bytes:
    """Write the PDF.

    :param document: what :func:`p2p.report.document.plain` makes.
    :param pictures: a PDF of one page each, by the names of the figures.
    """
    with tempfile.TemporaryDirectory(prefix="p2p-report-") as name:
        folder = Path(name)
        main = folder / "main.typ"
        main.write_bytes(files("p2p.report").joinpath("report.typ").read_bytes())
        (folder / "report.json").write_text(json.dumps({**document, "day": _day(document["made"])}), encoding="utf-8")
        for picture, content in pictures.items():
            (folder / f"{picture}.pdf").write_bytes(content)
        made: bytes = typst.compile(str(main), root=name, format="pdf", ignore_system_fonts=True)
    return made


def _day(moment: str) -> list[int] | None:
    """Read the day of the run, in UTC; None if it is none."""
    try:
        when = datetime.fromisoformat(moment)
        utc = when if when.tzinfo is None else when.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return [utc.year, utc.month, utc.day, utc.hour, utc.minute, utc.second]
