"""Secrets of integrations: masked before a record is kept or shown, and put back when it is used. Pure."""

from __future__ import annotations

from typing import Any

import msgspec

from redoubt.central.integrations.records import MASK, SECRETS, ImageIntegration, endpoint
from redoubt.central.refusals import InvalidArgument

#: Secrets by their path in the JSON, ``docker.password``.
Secrets = dict[str, str]


def apart(integration: ImageIntegration) -> tuple[ImageIntegration, Secrets]:
    """The integration with masks where its secrets were, and these."""
    secrets: Secrets = {}

    def take(path: str, value: str) -> str:
        secrets[path] = value
        return MASK

    return _each(integration, take), secrets


def together(integration: ImageIntegration, secrets: Secrets) -> ImageIntegration:
    """The other way round."""
    return _each(
        integration, lambda path, value: secrets.get(path, "" if value == MASK else value), empty=True
    )


def refuse_mask(integration: ImageIntegration) -> None:
    """Raises ``InvalidArgument`` where a mask is sent as if it were a secret."""

    def check(path: str, value: str) -> str:
        if value == MASK:
            raise InvalidArgument(
                f"{path} is masked; send the secret itself, or PATCH with updatePassword false to keep the stored one"
            )
        return value

    _each(integration, check)


def reconciled(new: ImageIntegration, stored: ImageIntegration, secrets: Secrets) -> ImageIntegration:
    """``new`` with the stored secrets. They go nowhere else: raises ``InvalidArgument`` where it names another endpoint."""
    if (new.type, endpoint(new)) != (stored.type, endpoint(stored)):
        raise InvalidArgument(
            "the stored credentials are for another endpoint; give new ones (updatePassword true)"
        )
    if _users(new) != _users(stored):
        raise InvalidArgument(
            "the stored credentials are another user's; give new ones (updatePassword true)"
        )
    if new.ca != stored.ca:
        raise InvalidArgument(
            "the stored credentials were given for another CA; give new ones (updatePassword true)"
        )
    return together(new, secrets)


def _users(integration: ImageIntegration) -> tuple[str, ...]:
    quay = integration.quay.registry_robot_credentials if integration.quay else None
    ecr = integration.ecr.authorization_data if integration.ecr else None
    return tuple(each.username if each else "" for each in (integration.docker, integration.azure, quay, ecr))


def _each(integration: ImageIntegration, change: Any, *, empty: bool = False) -> ImageIntegration:
    """The same with each secret changed; those that are not there only where ``empty``."""
    values = msgspec.to_builtins(integration)
    for path in SECRETS:
        at: Any = values
        for part in path[:-1]:
            at = at.get(part) if at is not None else None
        if at is not None and (at.get(path[-1]) or empty):
            at[path[-1]] = change(".".join(path), at.get(path[-1], ""))
    return msgspec.convert(values, ImageIntegration)
