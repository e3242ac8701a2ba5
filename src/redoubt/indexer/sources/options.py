"""What a caller may say about how images are reached. Only the registry source reads most of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from redoubt import egress


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceOptions:
    """``username`` and ``password`` come before what Docker's and Podman's files hold.

    ``ca_file``: PEM, trusted beside the system's. ``insecure``: plain http, and certificates unchecked,
    because the user asked for it. ``blob_cache``: a folder for configurations and manifests, by digest.
    ``timeout``: seconds, for connecting and for each read. ``policy``: None means the environment's.
    ``on_behalf``: a service looks for somebody else. The files of the user that it runs as are not read, and
    that an image's name names a host does not make the policy allow it.
    """

    username: str = ""
    password: str = field(default="", repr=False)
    ca_file: Path | None = None
    insecure: bool = False
    blob_cache: Path | None = None
    timeout: float = egress.TIMEOUT
    retry: egress.Retry = field(default_factory=egress.Retry)
    policy: egress.Policy | None = None
    on_behalf: bool = False
