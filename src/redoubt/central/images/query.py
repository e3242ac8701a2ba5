"""The original's search text for images, as much of it as is answered here: ``Image:registry.example/shop+Image OS:debian``.

Pure. A field that is not known is refused: leaving it out would find, or delete, more than was asked for.
"""

from __future__ import annotations

from redoubt.central.refusals import InvalidArgument
from redoubt.central.store.images import Wanted

#: Fields, in any case, and what they are here. Values are beginnings, as in the original.
_FIELDS = {"image": "name", "image sha": "id", "image os": "system"}
_LONGEST = 2000


def wanted(query: str) -> Wanted:
    """Raises ``InvalidArgument`` for what is not understood."""
    if len(query) > _LONGEST or "\x00" in query:
        raise InvalidArgument("the query is too long, or has a NUL in it")
    found: dict[str, str] = {}
    for part in query.split("+"):
        if not part.strip():
            continue
        # A name of an image has colons, too; fields have none.
        field, colon, value = part.partition(":")
        name = _FIELDS.get(field.strip().lower(), "")
        value = value.strip()
        if not colon or not name or not value or name in found:
            known = ", ".join(("Image", "Image Sha", "Image OS"))
            raise InvalidArgument(
                f"the query {part[:80]!r} is not understood; write FIELD:BEGINNING, each field once, of {known}"
            )
        if value.startswith("r/") or "," in value or '"' in value:
            raise InvalidArgument(
                f"the query {part[:80]!r} has a value that is not a simple one; write how it begins"
            )
        found[name] = value
    return Wanted(**found)
