"""The administrator's password: made at the first start, checked at a pace, changed, disabled.

A check costs 32 MB and a tenth of a second of a processor, so at most two are under way at a time: one for sources that
have shown the right password before, one for strangers. However many strangers guess, the administrator does not wait
behind them, and all of them together get about ten guesses a second.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
from hashlib import sha256

import structlog

from redoubt.central.auth import hashing
from redoubt.central.auth.access import Roles
from redoubt.central.auth.caller import Caller, Kind
from redoubt.central.auth.limiter import Limiter
from redoubt.central.auth.roles import ADMIN
from redoubt.central.auth.sources import group
from redoubt.central.config import Settings
from redoubt.central.notices import Notices, Remembered
from redoubt.central.refusals import Exhausted, InvalidArgument, Unauthenticated
from redoubt.central.store.accounts import TOPIC, Account, AccountStore

ADMIN_USER = "admin"
SHORTEST = 8
GOOD = 12

_WAITING = 32
_WRONG = "the user name or the password is wrong"

_log = structlog.get_logger("auth")


class Passwords:
    """Users with a password. There is one, ``admin``, whose role is Admin."""

    def __init__(
        self,
        store: AccountStore,
        roles: Roles,
        notices: Notices,
        *,
        disabled: bool = False,
        limiter: Limiter | None = None,
    ) -> None:
        self._store = store
        self._roles = roles
        self._disabled = disabled
        self._limiter = limiter or Limiter()
        self._accounts: Remembered[str, Account | None] = Remembered(notices, TOPIC)
        self._familiar: Remembered[tuple[str, str], bool] = Remembered(notices, TOPIC, seconds=600.0)
        self._lanes = {True: _Lane(), False: _Lane()}
        # Of passwords that were right, so that not every request costs a hash. Worth nothing outside of this process.
        self._secret = secrets.token_bytes(32)
        self._right: dict[str, bytes] = {}
        self._under_way: dict[tuple[str, str, bytes], asyncio.Task[bool]] = {}
        self._nobody = hashing.hashed(secrets.token_hex(16))

    async def prepare(self, settings: Settings) -> tuple[str, list[str]]:
        """At start: see that there is an account. A password that was made (else an empty text), and warnings."""
        if self._disabled:
            return "", []
        given = settings.admin_password
        if given and len(given) > hashing.LONGEST:
            raise InvalidArgument(f"the administrator's password is longer than {hashing.LONGEST} characters")
        made = "" if given else secrets.token_urlsafe(18)
        stored = await self._store.get(ADMIN_USER)
        if stored is None:
            fresh = await self._store.add(ADMIN_USER, await asyncio.to_thread(hashing.hashed, given or made))
            self._accounts.forget()  # who asked before it was there is not to be refused for seconds
            warnings = []
            if given and len(given) < GOOD:
                warnings.append(f"the administrator's password is shorter than {GOOD} characters; change it")
            return (made if fresh else ""), warnings
        if given and not await asyncio.to_thread(hashing.fits, given, stored.hash):
            return "", [
                "ROX_ADMIN_PASSWORD is not the administrator's password; the stored one stays in force"
            ]
        return "", []

    async def check(self, user: str, password: str, source: str) -> Caller:
        """The caller. Raises ``Unauthenticated``, and ``Exhausted`` where too many were wrong or under way."""
        self._limiter.check(source)
        account = await self._account(user)
        if account is None or not self._seen(account, password):
            account = await self._checked(account, user, password, source)
        self._limiter.succeeded(source)
        roles = await self._roles.resolved([ADMIN])
        return Caller(kind=Kind.USER, id=account.name, name=account.name, roles=roles)

    async def _checked(self, account: Account | None, user: str, password: str, source: str) -> Account:
        """The account, if it is its password. The same one, tried several times at once, is one attempt."""
        attempt = (group(source), user, self._tag(password))
        under_way = self._under_way.get(attempt)
        if under_way is None:
            # Counted beforehand, so that many at once are no more than many one after another.
            self._limiter.check(source)
            self._limiter.failed(source)
            under_way = asyncio.create_task(self._fits(account, password, source))
            self._under_way[attempt] = under_way
            under_way.add_done_callback(lambda _: self._under_way.pop(attempt, None))
        if not await asyncio.shield(under_way) or account is None:
            _log.warning("wrong password", user=user[:64], source=source)
            raise Unauthenticated(_WRONG)
        return account

    async def _fits(self, account: Account | None, password: str, source: str) -> bool:
        familiar = account is not None and await self._is_familiar(account.name, source)
        stored = self._nobody if account is None else account.hash
        fits = await self._lanes[familiar].check(password, stored)
        if account is None or not fits:
            return False
        self._right[account.hash] = self._tag(password)
        await self._recognised(account.name, source)
        return True

    async def change(self, user: str, current: str, new: str, source: str) -> None:
        """Replace a password by its owner."""
        await self.check(user, current, source)
        if not SHORTEST <= len(new) <= hashing.LONGEST or "\0" in new:
            raise InvalidArgument(
                f"a password has {SHORTEST} to {hashing.LONGEST} characters, none of them NUL"
            )
        await self._replace(user, new)

    async def _replace(self, user: str, new: str) -> None:
        await self._store.change(user, await asyncio.to_thread(hashing.hashed, new))
        self._accounts.forget()
        self._familiar.forget()
        self._right.clear()

    async def _account(self, user: str) -> Account | None:
        # Names that nobody has are not remembered: strangers choose them.
        if self._disabled or user != ADMIN_USER:
            return None
        return await self._accounts.get(user, lambda: self._store.get(user))

    def _seen(self, account: Account, password: str) -> bool:
        right = self._right.get(account.hash)
        return right is not None and hmac.compare_digest(right, self._tag(password))

    def _tag(self, password: str) -> bytes:
        return hmac.digest(self._secret, password.encode("utf-8", "surrogatepass"), sha256)

    async def _is_familiar(self, user: str, source: str) -> bool:
        name = group(source)
        if name in ("127.0.0.1", "::/64"):
            return True
        return await self._familiar.get((user, name), lambda: self._store.familiar(user, name))

    async def _recognised(self, user: str, source: str) -> None:
        await self._store.recognise(user, group(source))
        self._familiar.forget()


async def reset(store: AccountStore) -> str:
    """Give the administrator a new password, by whoever has the database; it is returned. Replicas hear of it."""
    made = secrets.token_urlsafe(18)
    await store.change(ADMIN_USER, await asyncio.to_thread(hashing.hashed, made))
    return made


class _Lane:
    """One check at a time; a few wait, the rest is sent away."""

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(1)
        self._waiting = 0

    async def check(self, password: str, stored: str) -> bool:
        if self._waiting >= _WAITING:
            raise Exhausted("too many passwords are being checked; try again in a moment", 1.0)
        self._waiting += 1
        try:
            async with self._free:
                return await asyncio.to_thread(hashing.fits, password, stored)
        finally:
            self._waiting -= 1
