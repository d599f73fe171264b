"""PDF documents: Korean text, no access to files or the network, and a time limit."""

import asyncio
import re
import zlib
from contextlib import suppress

import pytest

from adapters.html_to_pdf import PdfError, can_render_pdf, html_to_pdf

pytestmark = pytest.mark.skipif(not can_render_pdf(), reason="WeasyPrint or Pango is not installed")


async def test_pdf_has_selectable_korean_text_and_loads_nothing() -> None:
    connections: list[object] = []
    server = await asyncio.start_server(lambda *peer: connections.append(peer), "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        pdf = await html_to_pdf(
            f"""
            <link rel="stylesheet" href="{url}/style.css"><link rel="attachment" href="file:///etc/passwd">
            <h1>청구서</h1><img src="{url}/image.png"><a href="{url}">a link</a>
            """
        )
    assert connections == []
    assert pdf.startswith(b"%PDF-")
    assert b"/EmbeddedFile" not in pdf
    # The character map of the embedded font leads from its glyphs back to the characters.
    characters = {
        character for stream in _streams(pdf) for character in re.findall(rb"<([0-9a-f]{4})>", stream)
    }
    assert {f"{ord(character):04x}".encode() for character in "청구서"} <= characters


async def test_rendering_ends_at_its_time_limit() -> None:
    with pytest.raises(PdfError, match="longer than"):
        await html_to_pdf("<p>1</p>", time_limit=0.01)


def _streams(pdf: bytes) -> list[bytes]:
    """Return the decompressed streams."""
    found = []
    for stream in re.findall(rb"stream\r?\n(.*?)\r?\nendstream", pdf, re.DOTALL):
        with suppress(zlib.error):
            found.append(zlib.decompress(stream))
    return found
