"""The REST API: one module an area. ``ALL`` is what the application is made of."""

from __future__ import annotations

from litestar.types import ControllerRouterHandler

from redoubt.central.api.definitions import (
    DefinitionsController,
    ScannerDefinitionsController,
    VulnDefinitionsController,
)
from redoubt.central.api.metadata import MetadataController
from redoubt.central.api.page import PageController
from redoubt.central.api.ping import PingController

ALL: list[ControllerRouterHandler] = [
    DefinitionsController,
    MetadataController,
    PageController,
    PingController,
    ScannerDefinitionsController,
    VulnDefinitionsController,
]
