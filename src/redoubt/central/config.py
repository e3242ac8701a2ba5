"""What Central is told at start: a YAML file, then the environment, then flags; the later wins.

Every setting is a field of ``Settings`` and has an environment variable, ``REDOUBT_CENTRAL_`` and the field's
name in capitals; some have a second one that the original has. An unknown key, an unknown variable with that prefix
and a value of the wrong type are errors that name the place. What can change while Central runs is not here
but in the database.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from redoubt import configuration
from redoubt.errors import UsageError

PREFIX = "REDOUBT_CENTRAL_"

#: Variables beside ``REDOUBT_CENTRAL_…``. The first one that is set counts.
ALIASES: dict[str, tuple[str, ...]] = {
    "data": ("REDOUBT_DATA_DIR",),
    "offline": ("ROX_OFFLINE_MODE", "REDOUBT_OFFLINE"),
    "allowed_hosts": ("REDOUBT_ALLOWED_HOSTS",),
    "admin_password": ("ROX_ADMIN_PASSWORD",),
    "log_level": ("LOGLEVEL",),
    "kernel_package_upload": ("ROX_ENABLE_KERNEL_PACKAGE_UPLOAD",),
    "kernel_objects_url": ("ROX_COLLECTOR_MODULES_BASE_URL",),
}


#: Numbers, and what they are at least and at most.
_RANGES: tuple[tuple[str, float, float], ...] = (
    ("login_token_seconds", 60, 30 * 86400),
    ("cluster_certificate_days", 1, 1825),
    ("scans_at_once", 1, 256),
    ("scans_waiting", 1, 1_000_000),
    ("scan_seconds", 1, 86400),
    ("watch_seconds", 60, 30 * 86400),
    ("process_baseline_seconds", 0, 365 * 86400),
    ("network_baseline_seconds", 0, 365 * 86400),
    ("service_patience_seconds", 0, 3600),
    ("registry_tries", 1, 100),
    ("registry_pause_seconds", 0, 3600),
    ("registry_longest_pause_seconds", 0, 3600),
)


class Settings(configuration.Server, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One Central. Paths are absolute or relative to where it is started; times are in seconds."""

    secret = frozenset({"admin_password", "database_url"})
    #: Where everything lives that is not in the database: definitions, keys, uploads in progress.
    data: Path = Path("/var/lib/redoubt")
    #: ``postgresql://user:password@host/database?sslmode=verify-full``.
    database_url: str = ""
    #: A folder with ``ca.pem``, ``cert.pem`` and ``key.pem``; empty: ``<data>/certificates``.
    certificates: Path | None = None
    #: A certificate and its key for people and their browsers, who call by another name than services; PEM files.
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    #: A folder with the CA and its key, ``ca.pem`` and ``ca-key.pem``, to issue init bundles with; empty: none are issued.
    ca: Path | None = None
    #: Days that the certificates of a cluster's services are good for; they are made anew when half of that has passed.
    cluster_certificate_days: float = 365
    #: Host and port of the Indexer and the Matcher; empty: none, and what needs them says so.
    indexer: str = ""
    matcher: str = ""
    #: What the installation is told about the internet. None: what was stored at the first start.
    offline: bool | None = None
    #: What counts at the first start where nothing is said.
    default_offline: bool = False
    allowed_hosts: list[str] = msgspec.field(default_factory=list)
    #: Whether the starter definitions are loaded where none ever were.
    starter: bool = True
    #: Where definitions and kernel support packages are kept: ``disk``, this Central's own, or ``database``, for all
    #: replicas that use that.
    definitions_store: str = "disk"
    #: In online mode: where definitions are had from. Empty: they are built here out of upstream's feeds.
    definitions_url: str = ""
    #: How often they are built here, and how old they may be at most before that is tried again.
    definitions_build_seconds: float = 10800.0
    #: The password of ``admin`` at the first start; empty: one is made and printed once.
    admin_password: str = ""
    admin_password_disabled: bool = False
    #: How long a token of ``roxctl central login`` is good for.
    login_token_seconds: int = 43200
    #: The keys that seal secrets in the database; empty: ``<data>/keys/secrets.keys``.
    secrets_key_file: Path | None = None
    #: Addresses and networks of proxies whose ``X-Forwarded-For`` is believed.
    trusted_proxies: list[str] = msgspec.field(default_factory=list)
    #: How long the audit log is kept.
    audit_days: int = 365
    #: Images that are scanned at a time, and that may wait for it.
    scans_at_once: int = 4
    scans_waiting: int = 2000
    #: What a scan may take, with all waiting.
    scan_seconds: float = 3600.0
    #: How often watched images are looked at again; the original's.
    watch_seconds: float = 14400.0
    #: How long it is learned what programs a container runs, and whom a deployment talks to; the original's.
    process_baseline_seconds: float = 3600.0
    network_baseline_seconds: float = 3600.0
    #: How long an Indexer or a Matcher that is away is asked again.
    service_patience_seconds: float = 60.0
    #: How often a registry is asked in all that cannot answer now (429, 5xx, a connection that breaks off or stands still);
    #: the first pause, which is doubled each time, and the longest, also of those that it asks for.
    registry_tries: int = 5
    registry_pause_seconds: float = 2.0
    registry_longest_pause_seconds: float = 120.0
    #: What a cluster's record gets where it names no image.
    main_image: str = "quay.io/stackrox-io/main"
    collector_image: str = "quay.io/stackrox-io/collector"
    #: Whether kernel support packages may be uploaded.
    kernel_package_upload: bool = True
    #: Where probes are fetched that nobody uploaded; empty: the original's place, where Central is online; ``none``: nowhere.
    #: A place that is named here is asked in offline mode as well.
    kernel_objects_url: str = ""


def load(
    file: Path | None = None,
    *,
    environment: Mapping[str, str] | None = None,
    flags: Mapping[str, object] | None = None,
) -> Settings:
    """The settings. ``flags`` holds what was given on the command line; None means not given.

    Raises ``UsageError`` for what cannot be understood, ``UnreadableInput`` and ``AccessDenied`` for the file.
    """
    return _checked(
        configuration.load(Settings, PREFIX, file, aliases=ALIASES, environment=environment, flags=flags)
    )


def _checked(settings: Settings) -> Settings:
    configuration.usual(settings)
    if (settings.tls_certificate is None) != (settings.tls_key is None):
        raise UsageError("settings: tls_certificate and tls_key go together")
    if settings.definitions_build_seconds < 60:
        raise UsageError("settings: definitions_build_seconds is at least 60")
    if settings.definitions_url and not settings.definitions_url.startswith(("https://", "http://")):
        raise UsageError("settings: definitions_url begins with https:// or http://")
    configuration.one_of("definitions_store", settings.definitions_store, ("disk", "database"))
    for name, least, most in _RANGES:
        if not least <= getattr(settings, name) <= most:
            raise UsageError(f"settings: {name} is {least} at least and {most} at most")
    if settings.audit_days < 1:
        raise UsageError("settings: audit_days is at least 1")
    if settings.kernel_objects_url not in ("", "none") and not _is_url(settings.kernel_objects_url):
        raise UsageError(
            "settings: kernel_objects_url is an http or https address without a password, or none"
        )
    return settings


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc
    except ValueError:
        return False
