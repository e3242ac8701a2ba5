"""Where a browser may be sent back to with a token: a roxctl that waits on the person's own machine, and nowhere else. Pure.

The original's roxctl waits at ``http://127.0.0.1:PORT/callback``, Redoubt's below that at a path that nobody can guess,
which tells it that the answer is to its own question. Other paths are refused: something else that listens on that machine
might hand the token on.
"""

from __future__ import annotations

import re
from datetime import datetime
from urllib.parse import urlencode

from redoubt.central.refusals import InvalidArgument

_CALLBACK = re.compile(
    r"http://(?:localhost|127\.0\.0\.1):([1-9][0-9]{0,4})/callback(?:/[A-Za-z0-9_-]{1,128})?"
)


def checked(callback: str) -> str:
    """``callback`` itself. Raises ``InvalidArgument`` where it is not on the person's own machine."""
    found = _CALLBACK.fullmatch(callback)
    if found is None or int(found.group(1)) > 65535:
        raise InvalidArgument(
            "the address to go back to is not that of a roxctl on this machine (http://127.0.0.1:PORT/callback);"
            " nothing was sent there. Start `roxctl central login` again"
        )
    return callback


def answered(callback: str, token: str, expires: datetime) -> str:
    """``callback`` with what the original's roxctl reads out of its query."""
    return f"{checked(callback)}?{urlencode({'token': token, 'expiresAt': expires.isoformat()})}"
