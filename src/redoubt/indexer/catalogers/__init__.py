"""One module a package format. ``ALL`` is every cataloger there is, in a fixed order.

Importing this room costs little: what is heavy (SQLite, archives) is imported where it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from redoubt.indexer.catalogers.alpm import AlpmCataloger
from redoubt.indexer.catalogers.apk import ApkCataloger
from redoubt.indexer.catalogers.applications import ApplicationCataloger
from redoubt.indexer.catalogers.bitnami import BitnamiCataloger
from redoubt.indexer.catalogers.bottlerocket import BottlerocketCataloger
from redoubt.indexer.catalogers.bun_lock import BunLockCataloger
from redoubt.indexer.catalogers.cargo import CargoCataloger
from redoubt.indexer.catalogers.cargo_binary import CargoBinaryCataloger
from redoubt.indexer.catalogers.chisel import ChiselCataloger
from redoubt.indexer.catalogers.composer import ComposerCataloger, ComposerLockCataloger
from redoubt.indexer.catalogers.conan import ConanCataloger
from redoubt.indexer.catalogers.content_sets import ContentSetsCataloger
from redoubt.indexer.catalogers.dnf import DnfCataloger
from redoubt.indexer.catalogers.dotnet import DotnetCataloger
from redoubt.indexer.catalogers.dpkg import DpkgCataloger
from redoubt.indexer.catalogers.dpkg_files import DpkgFilesCataloger
from redoubt.indexer.catalogers.gem import GemCataloger
from redoubt.indexer.catalogers.gemfile import GemfileCataloger
from redoubt.indexer.catalogers.golang import GoCataloger
from redoubt.indexer.catalogers.haskell import HaskellCataloger
from redoubt.indexer.catalogers.hex import ErlangCataloger, HexLockCataloger
from redoubt.indexer.catalogers.homebrew import HomebrewCataloger
from redoubt.indexer.catalogers.installed_trees import CondaCataloger, LuaRocksCataloger, RCataloger
from redoubt.indexer.catalogers.interface import Cataloger
from redoubt.indexer.catalogers.java import JavaCataloger
from redoubt.indexer.catalogers.julia import JuliaCataloger
from redoubt.indexer.catalogers.jvm import JvmCataloger
from redoubt.indexer.catalogers.nix import NixCataloger
from redoubt.indexer.catalogers.npm import NpmCataloger
from redoubt.indexer.catalogers.npm_lock import NpmLockCataloger
from redoubt.indexer.catalogers.nuget_locks import NugetLockCataloger
from redoubt.indexer.catalogers.opkg import OpkgCataloger
from redoubt.indexer.catalogers.os_release import OsReleaseCataloger
from redoubt.indexer.catalogers.pear import PearCataloger
from redoubt.indexer.catalogers.pnpm_lock import PnpmLockCataloger
from redoubt.indexer.catalogers.portage import PortageCataloger
from redoubt.indexer.catalogers.pub import PubCataloger
from redoubt.indexer.catalogers.python import PythonCataloger
from redoubt.indexer.catalogers.python_egg import EggCataloger
from redoubt.indexer.catalogers.python_locks import PythonLockCataloger
from redoubt.indexer.catalogers.redhat_container import RedHatContainerCataloger
from redoubt.indexer.catalogers.requirements import RequirementsCataloger
from redoubt.indexer.catalogers.rpm import RpmCataloger
from redoubt.indexer.catalogers.rpm_manifest import RpmManifestCataloger
from redoubt.indexer.catalogers.sbom import SbomCataloger
from redoubt.indexer.catalogers.snap import SnapCataloger
from redoubt.indexer.catalogers.swift import CocoapodsCataloger, SwiftCataloger
from redoubt.indexer.catalogers.yarn_lock import YarnLockCataloger
from redoubt.indexer.catalogers.yumdb import YumdbCataloger

if TYPE_CHECKING:
    from redoubt.indexer.java_index import JavaIndex

ALL: tuple[Cataloger, ...] = (
    OsReleaseCataloger(),
    DpkgCataloger(),
    DpkgFilesCataloger(),
    ApkCataloger(),
    AlpmCataloger(),
    RpmCataloger(),
    YumdbCataloger(),
    RpmManifestCataloger(),
    DnfCataloger(),
    ContentSetsCataloger(),
    RedHatContainerCataloger(),
    BottlerocketCataloger(),
    PythonCataloger(),
    EggCataloger(),
    PythonLockCataloger(),
    RequirementsCataloger(),
    NpmCataloger(),
    NpmLockCataloger(),
    YarnLockCataloger(),
    PnpmLockCataloger(),
    BunLockCataloger(),
    JavaCataloger(),
    GoCataloger(),
    CargoCataloger(),
    CargoBinaryCataloger(),
    GemCataloger(),
    GemfileCataloger(),
    ComposerCataloger(),
    ComposerLockCataloger(),
    PearCataloger(),
    DotnetCataloger(),
    NugetLockCataloger(),
    HexLockCataloger(),
    ErlangCataloger(),
    PubCataloger(),
    SwiftCataloger(),
    CocoapodsCataloger(),
    ConanCataloger(),
    JuliaCataloger(),
    HaskellCataloger(),
    RCataloger(),
    LuaRocksCataloger(),
    CondaCataloger(),
    JvmCataloger(),
    BitnamiCataloger(),
    ChiselCataloger(),
    HomebrewCataloger(),
    NixCataloger(),
    OpkgCataloger(),
    PortageCataloger(),
    SnapCataloger(),
    ApplicationCataloger(),
    SbomCataloger(),
)


def chosen(java_index: JavaIndex | None = None, *, package_files: bool = False) -> tuple[Cataloger, ...]:
    """``ALL``, with names for Java archives that don't say what they are, and with package files that lie about."""
    found = tuple(JavaCataloger(java_index) if isinstance(one, JavaCataloger) else one for one in ALL)
    if not package_files:
        return found
    from redoubt.indexer.catalogers.package_files import PackageFileCataloger

    return (*found, PackageFileCataloger())


__all__ = ["ALL", "chosen"]
