"""How the values of criteria are written. Pure: a text in, what is wrong with it out.

Rules: facts of StackRox's ``pkg/booleanpolicy/value_regex.go``. Where a value has several lines one good line is
enough, as there.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from redoubt.policies.patterns import BadPattern, path_pattern

#: A value in, what it has to be out; empty where it is that.
Grammar = Callable[[str], str]

#: A value longer than this is refused.
LONGEST = 20_000

_CAPABILITIES = """
    AUDIT_CONTROL AUDIT_READ AUDIT_WRITE BLOCK_SUSPEND CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID IPC_LOCK
    IPC_OWNER KILL LEASE LINUX_IMMUTABLE MAC_ADMIN MAC_OVERRIDE MKNOD NET_ADMIN NET_BIND_SERVICE NET_BROADCAST
    NET_RAW SETGID SETFCAP SETPCAP SETUID SYS_ADMIN SYS_BOOT SYS_CHROOT SYS_MODULE SYS_NICE SYS_PACCT SYS_PTRACE
    SYS_RAWIO SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG SYSLOG WAKE_ALARM"""
CAPABILITIES = tuple(_CAPABILITIES.split())
_INSTRUCTIONS = """
    ADD ARG CMD COPY ENTRYPOINT ENV EXPOSE FROM LABEL MAINTAINER ONBUILD RUN STOPSIGNAL USER VOLUME WORKDIR"""
INSTRUCTIONS = tuple(_INSTRUCTIONS.split())
#: Where a variable may come from; only of the first ones is the value known.
PLAIN_SOURCES = ("UNSET", "RAW", "UNKNOWN")
REFERRING_SOURCES = ("SECRET_KEY", "CONFIG_MAP_KEY", "FIELD", "RESOURCE_FIELD")

_HEX = "[0-9A-Fa-f]"
_ADDRESS = (
    r"(?:\d{1,3}\.){3}\d{1,3}"
    rf"|{_HEX}{{1,4}}(?::{_HEX}{{1,4}})*::{_HEX}{{1,4}}(?::{_HEX}{{1,4}})*"
    rf"|{_HEX}{{1,4}}(?::{_HEX}{{1,4}}){{7}}"
)
SIGNATURE_PREFIX = "io.stackrox.signatureintegration."


def _expression(pattern: str, told: str, flags: re.RegexFlag = re.NOFLAG) -> Grammar:
    search = re.compile(rf"^(?:{pattern})$", re.MULTILINE | flags).search

    def judge(value: str) -> str:
        if len(value) > LONGEST:
            return f"at most {LONGEST} characters"
        return "" if search(value) else told

    return judge


def one_of(words: tuple[str, ...]) -> Grammar:
    """One of some words, in whatever case."""
    return _expression("|".join(words), "one of " + ", ".join(words), re.IGNORECASE)


def text(value: str) -> str:
    """Anything that is not only spaces."""
    if len(value) > LONGEST:
        return f"at most {LONGEST} characters"
    return "" if value.strip() else "not empty"


def path(value: str) -> str:
    """A path pattern: absolute, without ``..``."""
    if not value.startswith("/"):
        return "an absolute path"
    if ".." in value.split("/"):
        return "a path without '..'"
    try:
        path_pattern(value)
    except BadPattern as error:
        return str(error)
    return ""


BOOLEAN = one_of(("true", "false"))
TEXT: Grammar = text
DAYS = _expression(r"[0-9]+", "a number of days")
KEY_VALUE = _expression(r"[^=\n]+=.*", "KEY=VALUE")
COMPARISON = _expression(
    r"(?:<=|>=|<|>)?[ \t]*(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)",
    "a number, with <, <=, > or >= before it or nothing",
)
SEVERITY = _expression(
    r"(?:<=|>=|<|>)?[ \t]*(?:UNKNOWN|LOW|MODERATE|IMPORTANT|CRITICAL)",
    "one of UNKNOWN, LOW, MODERATE, IMPORTANT, CRITICAL, with <, <=, > or >= before it or nothing",
    re.IGNORECASE,
)
ADDED = one_of(CAPABILITIES)
DROPPED = one_of(("ALL", *CAPABILITIES))
DOCKERFILE = _expression(
    rf"(?:{'|'.join(INSTRUCTIONS)})?=.*", "INSTRUCTION=VALUE, of a Dockerfile's instructions", re.IGNORECASE
)
#: For policies that are written anew: images do not tell what they were made from.
DOCKERFILE_WITHOUT_FROM = _expression(
    rf"(?:{'|'.join(word for word in INSTRUCTIONS if word != 'FROM')})?=.*",
    "INSTRUCTION=VALUE, of a Dockerfile's instructions without FROM",
    re.IGNORECASE,
)
ENVIRONMENT = _expression(
    rf"(?:{'|'.join(PLAIN_SOURCES + REFERRING_SOURCES)})?=[^=\n]*=.*",
    "SOURCE=KEY=VALUE, of the sources " + ", ".join(PLAIN_SOURCES + REFERRING_SOURCES),
    re.IGNORECASE,
)
#: For policies that ask to be read strictly: what comes from elsewhere has no value that could be looked at.
ENVIRONMENT_STRICT = _expression(
    rf"(?:{'|'.join(PLAIN_SOURCES)})?=[^=\n]*=.*|(?:{'|'.join(REFERRING_SOURCES)})=[^=\n]*=",
    "SOURCE=KEY=VALUE, without VALUE where SOURCE is not RAW",
    re.IGNORECASE,
)
PERMISSIONS = one_of(("DEFAULT", "ELEVATED_IN_NAMESPACE", "ELEVATED_CLUSTER_WIDE", "CLUSTER_ADMIN"))
EXPOSURE = one_of(("UNSET", "EXTERNAL", "NODE", "HOST", "INTERNAL", "ROUTE"))
PROPAGATION = one_of(("NONE", "HOSTTOCONTAINER", "BIDIRECTIONAL"))
SECCOMP = one_of(("UNCONFINED", "RUNTIME_DEFAULT", "LOCALHOST"))
VERB = one_of(("CREATE", "DELETE", "GET", "PATCH", "UPDATE"))
POD_RESOURCE = one_of(("PODS_EXEC", "PODS_PORTFORWARD", "PODS_ATTACH"))
AUDITED_RESOURCE = one_of(
    (
        "SECRETS",
        "CONFIGMAPS",
        "CLUSTER_ROLES",
        "CLUSTER_ROLE_BINDINGS",
        "NETWORK_POLICIES",
        "SECURITY_CONTEXT_CONSTRAINTS",
        "EGRESS_FIREWALLS",
    )
)
KUBERNETES_NAME = _expression(r"[a-z0-9](?:[-:a-z0-9]*[a-z0-9])?", "a name in Kubernetes", re.IGNORECASE)
ADDRESS = _expression(_ADDRESS, "an IP address")
SIGNATURE = _expression(
    re.escape(SIGNATURE_PREFIX) + rf"{_HEX}{{8}}(?:-{_HEX}{{4}}){{3}}-{_HEX}{{12}}",
    f"a signature integration's identifier, {SIGNATURE_PREFIX}UUID",
)
FILE_OPERATION = one_of(
    ("OPEN", "CREATE", "RENAME", "UNLINK", "OWNERSHIP_CHANGE", "PERMISSION_CHANGE", "XATTR_CHANGE")
)
PATH: Grammar = path
