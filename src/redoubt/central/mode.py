"""Online or offline: said when Central is installed, stored, and changed only by ``redoubt central reconfigure``."""

from __future__ import annotations

from redoubt.central.config import Settings
from redoubt.central.store import Pool
from redoubt.egress import Policy

_NAME = "offline"


async def policy(pool: Pool, settings: Settings) -> tuple[Policy, list[str]]:
    """What Central may contact, and warnings: where the settings say otherwise than what is stored, that counts."""
    said = settings.offline
    stored = await _stored(pool)
    warnings: list[str] = []
    if stored is None:
        wanted = settings.default_offline if said is None else said
        await pool.execute(
            "INSERT INTO settings (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING",
            _NAME,
            _text(wanted),
        )
        stored = await _stored(pool)
        assert stored is not None
    if said is not None and said != stored:
        warnings.append(
            f"this Central was installed {_word(stored)} and stays so, though its settings say {_word(said)}; "
            f"change it with `redoubt central reconfigure --{_word(said)}`"
        )
    hosts = frozenset(host.lower() for host in settings.allowed_hosts)
    return Policy(stored, hosts, own=True), warnings


async def reconfigure(pool: Pool, *, offline: bool) -> bool:
    """Store another mode, for the next start; whether it was another one."""
    before = await _stored(pool)
    await pool.execute(
        "INSERT INTO settings (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        _NAME,
        _text(offline),
    )
    return before is not offline


async def _stored(pool: Pool) -> bool | None:
    value = await pool.fetchval("SELECT value FROM settings WHERE name = $1", _NAME)
    return None if value is None else value == _text(True)


def _text(offline: bool) -> str:
    return "true" if offline else "false"


def _word(offline: bool) -> str:
    return "offline" if offline else "online"
