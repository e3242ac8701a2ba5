"""What roxctl was told: flags, then the environment, then the configuration file. The only reader of ``ROX_…``."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import click

from redoubt.cli.roxctl import endpoint, options
from redoubt.cli.roxctl.endpoint import Endpoint
from redoubt.errors import UsageError

DEFAULT_ENDPOINT = "localhost:8443"
#: Seconds for one try of a short request; the original's ``--retry-timeout``.
RETRY_TIMEOUT = 20.0
_MAX_RETRIES = 3


@dataclass(frozen=True)
class Settings:
    """``ca`` is None where nobody named a file and none lies at ``ca_default``. Times in seconds."""

    endpoint: Endpoint
    server_name: str
    ca: Path | None
    ca_default: Path
    skip_verify: bool
    kube_context: bool
    timeout: float | None
    retry_timeout: float
    retries: int


def load(ctx: click.Context) -> Settings:
    """Everything about the connection but credentials (see ``credentials``). Raises ``UsageError``."""
    told = Told(ctx)
    plaintext = told.switch("plaintext", "ROX_PLAINTEXT")
    kube = bool(told.switch("use_current_k8s_context", "ROX_USE_KUBECONTEXT"))
    typed, _ = told.text("endpoint", "ROX_ENDPOINT", "ROX_CENTRAL_ADDRESS")
    if kube and "endpoint" in told.given:
        raise UsageError("--use-current-k8s-context and --endpoint exclude each other")
    where = endpoint.parse(typed or DEFAULT_ENDPOINT, plaintext=plaintext, explicit=bool(typed))
    if where.plaintext and not told.switch("insecure", "ROX_INSECURE_CLIENT"):
        raise UsageError(
            "without TLS everybody on the way can read your credentials; add --insecure if that is meant"
        )
    ca, named = told.text("ca", "ROX_CA_CERT_FILE")
    default = config_dir() / "ca.pem"
    if named and not Path(ca).is_file():
        what = "is no file" if os.path.lexists(ca) else "no such CA file"
        raise UsageError(f"{ca}: {what}; check {named}")
    return Settings(
        endpoint=where,
        server_name=told.text("server_name", "ROX_SERVER_NAME")[0],
        ca=Path(ca) if ca else default if default.is_file() else None,
        ca_default=default,
        skip_verify=bool(told.switch("insecure_skip_tls_verify", "ROX_INSECURE_CLIENT_SKIP_TLS_VERIFY")),
        kube_context=kube,
        timeout=told.seconds("timeout"),
        retry_timeout=_or(told.seconds("retry_timeout"), RETRY_TIMEOUT),
        retries=retries(),
    )


class Told:
    """What was said, and where. Flags are weightier than the environment, and that than the file."""

    def __init__(self, ctx: click.Context) -> None:
        self.given = options.given(ctx)
        self._filed = options.filed(ctx)
        self._file = ctx.find_root().obj

    def text(self, name: str, *variables: str) -> tuple[str, str]:
        """The text and who said it, both empty where nobody did. An empty flag is an error, an empty variable none."""
        flag = f"--{name.replace('_', '-')}"
        if name in self.given:
            value = str(self.given[name]).strip()
            if not value:
                raise UsageError(f"{flag} is empty; leave it out, or give it a value")
            return value, flag
        for variable in variables:
            if value := os.environ.get(variable, "").strip():
                return value, variable
        if name in self._filed and (value := str(self._filed[name]).strip()):
            return value, str(self._file)
        return "", ""

    def switch(self, name: str, variable: str) -> bool | None:
        """On, off, or None where nobody said."""
        if name in self.given:
            return bool(self.given[name])
        if os.environ.get(variable, "").strip():
            return options.truth(os.environ[variable].strip(), variable)
        return bool(self._filed[name]) if name in self._filed else None

    def seconds(self, name: str) -> float | None:
        """A time that was typed or filed."""
        value = self.given.get(name, self._filed.get(name))
        return value if isinstance(value, float) else None


def config_dir() -> Path:
    """Where ``ca.pem`` and logins lie: ``ROX_CONFIG_DIR``, else ``~/.roxctl``. May not exist."""
    if folder := os.environ.get("ROX_CONFIG_DIR"):
        return Path(folder)
    try:
        return Path("~/.roxctl").expanduser()
    except RuntimeError:
        raise UsageError("this user has no home folder; set ROX_CONFIG_DIR") from None


def retries() -> int:
    """``ROX_CLIENT_MAX_RETRIES``: how often a request that failed in passing is repeated."""
    text = os.environ.get("ROX_CLIENT_MAX_RETRIES", "").strip()
    if not text:
        return _MAX_RETRIES
    if not text.isascii() or not text.isdigit() or len(text) > 3:
        raise UsageError(f"ROX_CLIENT_MAX_RETRIES is {text!r}, which is no number of retries")
    return int(text)


def download_base() -> str:
    """``ROX_SCAN_DB_DL_BASE_URL``, or nothing."""
    return os.environ.get("ROX_SCAN_DB_DL_BASE_URL", "").strip()


def stdout_file() -> str:
    """``ROX_STDOUT``: a file that takes standard output's place."""
    return os.environ.get("ROX_STDOUT", "")


def no_color() -> bool:
    """``ROX_NO_COLOR``."""
    return options.truth(os.environ.get("ROX_NO_COLOR", "").strip(), "ROX_NO_COLOR")


def _or(value: float | None, default: float) -> float:
    return default if value is None else value
