"""The REST API: one module an area. ``ALL`` is what the application is made of."""

from __future__ import annotations

from litestar.types import ControllerRouterHandler

from redoubt.central.api.alerts import AlertController
from redoubt.central.api.auth import AuthController
from redoubt.central.api.authorize import AuthorizeController, RoxctlLoginController
from redoubt.central.api.baselines import BaselineController
from redoubt.central.api.clusterinit import ClusterInitController
from redoubt.central.api.clusterobjects import OBJECT_CONTROLLERS
from redoubt.central.api.clusters import ClusterController
from redoubt.central.api.configuration import ConfigController
from redoubt.central.api.definitions import (
    DefinitionsController,
    ScannerDefinitionsController,
    VulnDefinitionsController,
)
from redoubt.central.api.delegation import DelegationController
from redoubt.central.api.deployments import DeploymentController
from redoubt.central.api.detection import DetectionController
from redoubt.central.api.egress import EgressController
from redoubt.central.api.events import EventController
from redoubt.central.api.fleet import FleetController
from redoubt.central.api.images import ExportController, ImageController, ImageCountController
from redoubt.central.api.integrations import (
    IntegrationController,
    IntegrationHealthController,
    PullSecretController,
    WatchedImageController,
)
from redoubt.central.api.metadata import MetadataController
from redoubt.central.api.network_baselines import NetworkBaselineController
from redoubt.central.api.network_graph import NetworkGraphController
from redoubt.central.api.network_policies import NetworkPolicyController
from redoubt.central.api.network_policy_changes import NetworkPolicyChangeController
from redoubt.central.api.page import PageController
from redoubt.central.api.ping import PingController
from redoubt.central.api.policies import PolicyController
from redoubt.central.api.policyparts import (
    CategoryController,
    CustomResourceController,
    MitreController,
    PolicyFromSearchController,
)
from redoubt.central.api.probes import KernelObjectController, ProbeController, ProbeUploadController
from redoubt.central.api.processes import ProcessController
from redoubt.central.api.registration import RegistrationController
from redoubt.central.api.risk import RiskController
from redoubt.central.api.roles import AccessScopeController, PermissionSetController, RoleController
from redoubt.central.api.sboms import ImageSbomController, SbomController
from redoubt.central.api.sensorupgrades import SensorUpgradeController
from redoubt.central.api.system import SystemController
from redoubt.central.api.tokens import SigningKeyController, TokenController

ALL: list[ControllerRouterHandler] = [
    AccessScopeController,
    AlertController,
    AuthController,
    AuthorizeController,
    BaselineController,
    CategoryController,
    ClusterController,
    ConfigController,
    ClusterInitController,
    CustomResourceController,
    DefinitionsController,
    DelegationController,
    DeploymentController,
    DetectionController,
    EgressController,
    EventController,
    FleetController,
    ExportController,
    ImageController,
    ImageCountController,
    ImageSbomController,
    IntegrationController,
    IntegrationHealthController,
    KernelObjectController,
    MetadataController,
    MitreController,
    NetworkBaselineController,
    NetworkGraphController,
    NetworkPolicyController,
    NetworkPolicyChangeController,
    PageController,
    PermissionSetController,
    PingController,
    PolicyController,
    PolicyFromSearchController,
    PullSecretController,
    ProbeController,
    ProbeUploadController,
    ProcessController,
    RegistrationController,
    SensorUpgradeController,
    RiskController,
    RoleController,
    RoxctlLoginController,
    SbomController,
    ScannerDefinitionsController,
    SigningKeyController,
    SystemController,
    TokenController,
    VulnDefinitionsController,
    WatchedImageController,
    *OBJECT_CONTROLLERS,
]
