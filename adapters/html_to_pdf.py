"""HTML to PDF with WeasyPrint, which the extra `pdf` installs and which requires the library Pango.

Each document is rendered by a process of its own: it can be stopped at its time limit, and its memory is
free afterwards. The process loads nothing that the document refers to, from the network or from files.
"""

import asyncio
import os
import sys
from ctypes.util import find_library
from functools import cache
from importlib.util import find_spec

_LIBRARIES = ("pango-1.0", "pangoft2-1.0", "harfbuzz", "fontconfig")
_INHERITED = ("PATH", "HOME", "LANG", "XDG_CACHE_HOME", "FONTCONFIG_PATH", "FONTCONFIG_FILE")
"""Environment variables that fonts and libraries need. Others of the server contain secrets."""
_MAX_PROCESSES = 2
_MAX_MEMORY_BYTES = 512 << 20
_TIME_LIMIT_SECONDS = 30.0

_slots = asyncio.Semaphore(_MAX_PROCESSES)


class PdfError(Exception):
    """The document could not be rendered within its limits. The message has no contents of the document."""


@cache
def can_render_pdf() -> bool:
    """Return True if WeasyPrint and its libraries are installed, without loading them."""
    return find_spec("weasyprint") is not None and all(map(find_library, _LIBRARIES))


async def html_to_pdf(html: str, *, time_limit: float = _TIME_LIMIT_SECONDS) -> bytes:
    """Return the PDF of a self-contained document. The time limit includes the wait for other documents.

    Raises `PdfError`.
    """
    try:
        async with asyncio.timeout(time_limit), _slots:
            return await _render(html)
    except TimeoutError:
        raise PdfError(f"The rendering took longer than {time_limit:g} seconds.") from None


async def _render(html: str) -> bytes:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",  # do not import modules from the working directory
        "-m",
        __name__,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={name: os.environ[name] for name in _INHERITED if name in os.environ},
    )
    try:
        pdf, errors = await process.communicate(html.encode())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        last = errors.decode(errors="replace").strip().rpartition("\n")[2]
        raise PdfError(f"The process ended with status {process.returncode}: {last}")
    return pdf


def _main() -> None:
    """Read HTML from standard input and write its PDF to standard output."""
    from weasyprint import HTML
    from weasyprint.urls import URLFetcher

    if sys.platform == "linux":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_MAX_MEMORY_BYTES, _MAX_MEMORY_BYTES))
    document = HTML(string=sys.stdin.buffer.read().decode(), url_fetcher=URLFetcher(allowed_protocols=()))
    sys.stdout.buffer.write(document.write_pdf())


if __name__ == "__main__":
    _main()
