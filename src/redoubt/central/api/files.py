"""A file as an answer: conditional requests and one byte range (RFC 9110, 13 and 14), read as it is sent.

Knows nothing of what is in the file, and not who may have it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from pathlib import Path
from typing import BinaryIO

from litestar import Response
from litestar.response import Stream

_CHUNK = 256 << 10
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)


def answer(
    asked: Mapping[str, str], path: Path, *, etag: str, media_type: str = "application/octet-stream"
) -> Response[bytes] | Stream:
    """What a GET with the headers ``asked`` (lower-case names) gets of the file at ``path``.

    ``etag`` stands for its bytes, without quotes. Several ranges at once are answered with the whole file, as
    the RFC allows. The file is open from here on: removing it does no harm. Raises ``FileNotFoundError``.
    """
    file = path.open("rb")
    try:
        facts = path.stat()
        size, modified = facts.st_size, datetime.fromtimestamp(int(facts.st_mtime), UTC)
        headers = {
            "Accept-Ranges": "bytes",
            "ETag": f'"{etag}"',
            "Last-Modified": format_datetime(modified, usegmt=True),
            "Cache-Control": "no-cache",
        }
        if _unchanged(asked, etag, modified):
            file.close()
            return Response(b"", status_code=304, headers=headers, media_type=media_type)
        span = _span(asked, etag, modified, size)
        if span is None:
            file.close()
            return Response(
                b"",
                status_code=416,
                headers={**headers, "Content-Range": f"bytes */{size}"},
                media_type=media_type,
            )
        start, end = span
        status = 200
        if (start, end) != (0, size) or (size and "range" in asked and _is_range(asked, etag, modified)):
            status = 206
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
        headers["Content-Length"] = str(end - start)
        return Stream(_read(file, start, end), status_code=status, headers=headers, media_type=media_type)
    except BaseException:
        file.close()
        raise


async def _read(file: BinaryIO, start: int, end: int) -> AsyncIterator[bytes]:
    try:
        file.seek(start)
        while start < end:
            chunk = await asyncio.to_thread(file.read, min(_CHUNK, end - start))
            if not chunk:
                return
            start += len(chunk)
            yield chunk
    finally:
        file.close()


def _unchanged(asked: Mapping[str, str], etag: str, modified: datetime) -> bool:
    if (tags := asked.get("if-none-match")) is not None:
        return tags.strip() == "*" or etag in _tags(tags)
    since = _date(asked.get("if-modified-since", ""))
    return since is not None and modified <= since


def _is_range(asked: Mapping[str, str], etag: str, modified: datetime) -> bool:
    """Whether the range counts: not where it goes on with a file that is another now."""
    if (condition := asked.get("if-range")) is None:
        return _RANGE.fullmatch(asked.get("range", "")) is not None
    date = _date(condition)
    return (date == modified if date is not None else condition.strip() == f'"{etag}"') and (
        _RANGE.fullmatch(asked.get("range", "")) is not None
    )


def _span(asked: Mapping[str, str], etag: str, modified: datetime, size: int) -> tuple[int, int] | None:
    """From which byte to which (excluded); None where the range lies behind the end."""
    if "range" not in asked or not _is_range(asked, etag, modified):
        return 0, size
    match = _RANGE.fullmatch(asked["range"])
    assert match is not None
    first, last = match.groups()
    if not first:
        if not last:
            return 0, size
        return (max(0, size - int(last)), size) if int(last) and size else None
    start = int(first)
    end = min(int(last) + 1, size) if last else size
    if last and int(last) < start:
        return 0, size  # not a range at all: as if there were none
    return (start, end) if start < size else None


def _tags(text: str) -> list[str]:
    return [tag.strip().removeprefix("W/").strip('"') for tag in text.split(",")]


def _date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
        return date if date.tzinfo else date.replace(tzinfo=UTC)
    except (ValueError, TypeError, OverflowError):
        return None
