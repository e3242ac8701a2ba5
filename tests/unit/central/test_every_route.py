"""Every route and every gRPC call against every default role, and against nobody, as tables that are written here by hand.

What is not in a table fails: whoever adds a route or a call says here who may call it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, cast

import httpx
import pytest
from litestar.handlers import HTTPRouteHandler

from redoubt.central.auth.caller import ANONYMOUS, Caller, Kind
from redoubt.central.auth.calls import conditions_of as permitted
from redoubt.central.auth.declare import Condition, check, conditions_of
from redoubt.central.auth.declare import services as services_of
from redoubt.central.auth.roles import DEFAULT_ROLES
from redoubt.central.refusals import PermissionDenied, Unauthenticated
from redoubt.central.serving import answering
from redoubt.wire.calls import allowed
from redoubt.wire.identity import Service
from support.centrals import bearer, caller, services_without_database, without_database

NOBODY = frozenset({"(nobody)"})
KNOWN = frozenset(DEFAULT_ROLES) | {f"({service})" for service in Service}
EVERYBODY = KNOWN | NOBODY
ADMIN = frozenset({"Admin"})
READERS = ADMIN | {"Analyst"}
GRAPH_READERS = READERS | {"Network Graph Viewer"}
#: May write the administration, and read it.
ADMINISTRATORS = ADMIN | {"Sensor Creator"}
INTEGRATION_READERS = READERS | {"Configuration Controller", "Vulnerability Report Creator"}
#: Our Matchers, and the original's Scanners and Sensors.
MATCHERS = frozenset({"(SCANNER_V4_MATCHER_SERVICE)", "(SCANNER_V4_SERVICE)"})
SCANNERS = MATCHERS | {"(SCANNER_SERVICE)", "(SCANNER_V4_INDEXER_SERVICE)", "(SENSOR_SERVICE)"}
CLUSTER_READERS = READERS | {"Configuration Controller", "Sensor Creator"}
POLICY_WRITERS = ADMIN | {"Configuration Controller", "Vulnerability Report Creator"}
POLICY_READERS = POLICY_WRITERS | {"Analyst"}
IMAGE_WRITERS = ADMIN | {"Continuous Integration"}
IMAGE_READERS = IMAGE_WRITERS | {"Analyst"}

DEPLOYMENT_READERS = READERS | {"Network Graph Viewer"}

#: Method and path to who may call it.
TABLE: dict[str, frozenset[str]] = {
    "GET /api/docs": EVERYBODY,
    "GET /api/docs/openapi.json": EVERYBODY,
    "GET /api/docs/page.css": EVERYBODY,
    "GET /api/docs/page.js": EVERYBODY,
    "GET /api/docs/swagger": EVERYBODY,
    "GET /api/docs/v2/swagger": EVERYBODY,
    "GET /api/docs/{path:str}": EVERYBODY,
    "GET /api/extensions/scannerdefinitions": ADMINISTRATORS | SCANNERS,
    "GET /authorize-roxctl": EVERYBODY,
    "GET /authorize-roxctl/page.css": EVERYBODY,
    "GET /authorize-roxctl/page.js": EVERYBODY,
    "GET /health/liveness": EVERYBODY,
    "GET /health/readiness": EVERYBODY,
    "GET /kernel-objects/{version:str}/{file:str}": frozenset({"(SENSOR_SERVICE)"}),
    "GET /metrics": ADMINISTRATORS,
    "GET /v1/administration/events": ADMINISTRATORS,
    "GET /v1/administration/events/{id:uuid}": ADMINISTRATORS,
    "GET /v1/alerts": READERS,
    "GET /v1/alerts/summary/counts": READERS,
    "GET /v1/alerts/summary/groups": READERS,
    "GET /v1/alerts/summary/timeseries": READERS,
    "GET /v1/alerts/{id:str}": READERS,
    "GET /v1/alertscount": READERS,
    "DELETE /v1/alerts": ADMIN,
    "PATCH /v1/alerts/resolve": ADMIN,
    "PATCH /v1/alerts/{id:str}/resolve": ADMIN,
    "GET /v1/apitokens": INTEGRATION_READERS,
    "GET /v1/apitokens/generate/allowed-roles": READERS,
    "GET /v1/apitokens/{id:uuid}": INTEGRATION_READERS,
    "GET /v1/auditlog": ADMIN,
    "GET /v1/auth/status": KNOWN,
    "GET /v1/authProviders": READERS,
    "GET /v1/authProviders/{id:str}": READERS,
    "GET /v1/availableAuthProviders": READERS,
    "GET /v1/central-capabilities": KNOWN,
    "GET /v1/cluster-defaults": CLUSTER_READERS,
    "GET /v1/cluster-init/ca-config": ADMIN,
    "GET /v1/cluster-init/crs": ADMIN,
    "PATCH /v1/cluster-init/crs/revoke": ADMIN,
    "POST /v1/cluster-init/crs": ADMIN,
    "POST /v1/cluster-init/crs-extended": ADMIN,
    "GET /v1/sensorupgrades/config": ADMINISTRATORS,
    "POST /v1/sensorupgrades/rotateclustercerts/{id:uuid}": ADMINISTRATORS,
    "GET /v1/cluster-init/init-bundles": ADMIN,
    "PATCH /v1/cluster-init/init-bundles/revoke": ADMIN,
    "POST /v1/cluster-init/init-bundles": ADMIN,
    "GET /v1/clusters": CLUSTER_READERS,
    "GET /v1/clusters-env/kernel-support-available": CLUSTER_READERS,
    "GET /v1/clusters/{id:uuid}": CLUSTER_READERS,
    "GET /v1/config": ADMINISTRATORS,
    "GET /v1/config/private": ADMINISTRATORS,
    "GET /v1/config/public": EVERYBODY,
    "PUT /v1/config": ADMINISTRATORS,
    "GET /v1/count/administration/events": ADMINISTRATORS,
    "GET /v1/credentialexpiry": KNOWN,
    "GET /v1/database/status": KNOWN,
    "GET /v1/debug/loglevel": ADMINISTRATORS,
    "GET /v1/definitions": ADMINISTRATORS,
    "GET /v1/definitions/diff": ADMINISTRATORS,
    "GET /v1/definitions/history": ADMINISTRATORS,
    "GET /v1/definitions/snapshots/{digest:str}": ADMINISTRATORS | MATCHERS,
    "GET /v1/definitions/snapshots/{digest:str}/stream": ADMINISTRATORS | MATCHERS,
    "GET /v1/definitions/trust": ADMINISTRATORS,
    "GET /v1/delegatedregistryconfig": ADMINISTRATORS,
    "GET /v1/delegatedregistryconfig/clusters": ADMINISTRATORS,
    "PUT /v1/delegatedregistryconfig": ADMINISTRATORS,
    "GET /v1/deployments": DEPLOYMENT_READERS,
    "GET /v1/deployments/metadata/labels": DEPLOYMENT_READERS,
    "GET /v1/deployments/{id:str}": DEPLOYMENT_READERS,
    "GET /v1/deploymentscount": DEPLOYMENT_READERS,
    "GET /v1/deploymentswithrisk/{id:str}": READERS,
    "GET /v1/export/nodes": READERS,
    "GET /v1/export/pods": DEPLOYMENT_READERS,
    "GET /v1/namespaces": READERS,
    "GET /v1/namespaces/{id:str}": READERS,
    "GET /v1/networkpolicies": DEPLOYMENT_READERS,
    "GET /v1/networkpolicies/cluster/{cluster:uuid}": DEPLOYMENT_READERS,
    "GET /v1/networkpolicies/graph/epoch": DEPLOYMENT_READERS,
    "GET /v1/networkpolicies/{id:str}": DEPLOYMENT_READERS,
    "GET /v1/networkpolicies/allowedpeers/{id:str}": DEPLOYMENT_READERS,
    "GET /v1/networkpolicies/baselinecomparison/{id:str}": READERS,
    "GET /v1/networkpolicies/generate/{cluster:uuid}": GRAPH_READERS,
    "GET /v1/networkpolicies/undo/deployment/{id:str}": DEPLOYMENT_READERS,
    "GET /v1/networkpolicies/undo/{cluster:uuid}": DEPLOYMENT_READERS,
    "GET /v1/networkpolicies/undobaselinecomparison/{id:str}": DEPLOYMENT_READERS,
    "POST /v1/networkpolicies/apply/deployment/{deployment:str}": ADMIN,
    "POST /v1/networkpolicies/apply/{cluster:uuid}": ADMIN,
    "POST /v1/networkpolicies/generate/baseline/{deployment:str}": READERS,
    "POST /v1/networkpolicies/simulate/{cluster:uuid}": DEPLOYMENT_READERS,
    "GET /v1/nodes/{cluster:uuid}": READERS,
    "GET /v1/nodes/{cluster:uuid}/{node:str}": READERS,
    "GET /v1/pods": DEPLOYMENT_READERS,
    "GET /v1/rbac/bindings": READERS,
    "GET /v1/rbac/bindings/{id:str}": READERS,
    "GET /v1/rbac/roles": READERS,
    "GET /v1/rbac/roles/{id:str}": READERS,
    "GET /v1/rbac/subject/{id:str}": READERS,
    "GET /v1/rbac/subjects": READERS,
    "GET /v1/secrets": READERS,
    "GET /v1/secrets/{id:str}": READERS,
    "GET /v1/secretscount": READERS,
    "GET /v1/serviceaccounts": READERS,
    "GET /v1/serviceaccounts/{id:str}": READERS,
    "GET /v1/egress": ADMINISTRATORS,
    "GET /v1/export/deployments": DEPLOYMENT_READERS,
    "GET /v1/fleet/cves": IMAGE_READERS,
    "GET /v1/fleet/cves/{cve:str}/images": IMAGE_READERS,
    "GET /v1/fleet/images": IMAGE_READERS,
    "GET /v1/fleet/images/{digest:str}/findings": IMAGE_READERS,
    "GET /v1/featureflags": EVERYBODY,
    "GET /v1/integrationhealth/vulndefinitions": INTEGRATION_READERS | ADMINISTRATORS,
    "GET /v1/export/images": IMAGE_READERS,
    "GET /v1/imageintegrations": INTEGRATION_READERS,
    "GET /v1/imageintegrations/{id:str}": INTEGRATION_READERS,
    "GET /v1/deploymentswithprocessinfo": READERS,
    "GET /v1/mitreattackvectors": KNOWN,
    "GET /v1/mitreattackvectors/{id:str}": KNOWN,
    "GET /v1/policies/{id:str}/mitrevectors": POLICY_READERS,
    "GET /v1/policycategories": POLICY_READERS,
    "GET /v1/policycategories/{id:uuid}": POLICY_READERS,
    "POST /v1/policycategories": POLICY_WRITERS,
    "PUT /v1/policycategories": POLICY_WRITERS,
    "DELETE /v1/policycategories/{id:uuid}": POLICY_WRITERS,
    "POST /v1/policies/from-search": POLICY_WRITERS,
    "POST /api/policy/custom-resource/save-as-zip": POLICY_READERS,
    "GET /v1/secretsextended": READERS,
    "GET /v1/images": IMAGE_READERS,
    "GET /v1/images/cache/invalidate": IMAGE_WRITERS,
    "GET /v1/images/scans": IMAGE_READERS,
    "GET /v1/images/{digest:str}": IMAGE_READERS,
    "GET /v1/images/{digest:str}/index": IMAGE_READERS,
    "GET /v1/images/{digest:str}/report": IMAGE_READERS,
    "GET /v1/imagescount": IMAGE_READERS,
    "GET /v1/integrationhealth/imageintegrations": INTEGRATION_READERS,
    "GET /v1/login/authproviders": EVERYBODY,
    "GET /v1/metadata": EVERYBODY,
    "GET /v1/mypermissions": KNOWN,
    "GET /v1/permissionsets": READERS,
    "GET /v1/permissionsets/{id:uuid}": READERS,
    "GET /v1/listening_endpoints/deployment/{id:str}": READERS,
    "GET /v1/networkbaseline/{id:str}": READERS,
    "GET /v1/networkbaseline/{id:str}/status/external": READERS,
    "GET /v1/networkgraph/cluster/{cluster:uuid}": GRAPH_READERS,
    "GET /v1/networkgraph/cluster/{cluster:uuid}/externalentities": GRAPH_READERS,
    "GET /v1/networkgraph/cluster/{cluster:uuid}/externalentities/metadata": GRAPH_READERS,
    "GET /v1/networkgraph/cluster/{cluster:uuid}/externalentities/{entity:str}/flows": GRAPH_READERS,
    "GET /v1/networkgraph/config": GRAPH_READERS,
    "GET /v1/processbaselines/key": READERS,
    "GET /v1/processcount": READERS,
    "GET /v1/processes/deployment/{id:str}": READERS,
    "GET /v1/processes/deployment/{id:str}/grouped": READERS,
    "GET /v1/processes/deployment/{id:str}/grouped/container": READERS,
    "DELETE /v1/networkgraph/externalentities/{id:str}": ADMIN,
    "DELETE /v1/processbaselines": ADMIN,
    "PATCH /v1/networkbaseline/{id:str}/lock": ADMIN,
    "PATCH /v1/networkbaseline/{id:str}/peers": ADMIN,
    "PATCH /v1/networkbaseline/{id:str}/unlock": ADMIN,
    "PATCH /v1/networkgraph/externalentities/{id:str}": ADMIN,
    "POST /v1/networkbaseline/{id:str}/status": READERS,
    "POST /v1/networkgraph/cluster/{cluster:uuid}/externalentities": ADMIN,
    "PUT /v1/networkgraph/config": ADMIN,
    "PUT /v1/processbaselines": ADMIN,
    "PUT /v1/processbaselines/bulk/lock": ADMIN,
    "PUT /v1/processbaselines/bulk/unlock": ADMIN,
    "PUT /v1/processbaselines/lock": ADMIN,
    "GET /v1/ping": EVERYBODY,
    "GET /v1/pullsecrets": INTEGRATION_READERS,
    "GET /v1/policies": POLICY_READERS,
    "GET /v1/policies/{id:str}": POLICY_READERS,
    "GET /v1/policies/{id:str}/status": POLICY_READERS,
    "GET /v1/policies/dryrunjob/{job:uuid}": POLICY_READERS,
    "GET /v1/policyCategories": POLICY_READERS,
    "DELETE /v1/policies/dryrunjob/{job:uuid}": POLICY_WRITERS,
    "POST /v1/policies/dryrunjob": POLICY_WRITERS,
    "POST /v1/policies/reassess": POLICY_WRITERS,
    "GET /v1/probeupload/probes": ADMINISTRATORS,
    "GET /v1/resources": KNOWN,
    "GET /v1/roles": READERS,
    "GET /v1/roles/{name:str}": READERS,
    "GET /v1/simpleaccessscopes": READERS,
    "GET /v1/simpleaccessscopes/{id:uuid}": READERS,
    "DELETE /v1/clusters/{id:uuid}": ADMINISTRATORS,
    "DELETE /v1/definitions/trust/{channel:str}": ADMINISTRATORS,
    "DELETE /v1/imageintegrations/{id:str}": ADMIN,
    "DELETE /v1/images": IMAGE_WRITERS,
    "DELETE /v1/images/scans/{scan:str}": IMAGE_WRITERS,
    "DELETE /v1/permissionsets/{id:uuid}": ADMIN,
    "DELETE /v1/policies/{id:str}": POLICY_WRITERS,
    "PATCH /v1/policies/{id:str}": POLICY_WRITERS,
    "PUT /v1/policies/{id:str}": POLICY_WRITERS,
    "DELETE /v1/pullsecrets/{name:str}": ADMIN,
    "DELETE /v1/probeupload/probes/{version:str}": ADMINISTRATORS,
    "DELETE /v1/probeupload/probes/{version:str}/{file:str}": ADMINISTRATORS,
    "DELETE /v1/roles/{name:str}": ADMIN,
    "DELETE /v1/simpleaccessscopes/{id:uuid}": ADMIN,
    "PATCH /v1/apitokens/revoke/{id:uuid}": ADMIN,
    "DELETE /v1/watchedimages": ADMIN,
    "GET /v1/watchedimages": READERS,
    "PATCH /v1/debug/loglevel": ADMINISTRATORS,
    "POST /api/extensions/probeupload": ADMINISTRATORS,
    "POST /api/extensions/scannerdefinitions": ADMINISTRATORS,
    "PATCH /v1/imageintegrations/{id:str}": ADMIN,
    "POST /api/v1/images/sbom": IMAGE_WRITERS,
    "POST /api/v1/sboms/scan": IMAGE_WRITERS,
    "POST /v1/apitokens/generate": ADMIN,
    "POST /v1/clusters": ADMINISTRATORS,
    "POST /v1/definitions/rollback": ADMINISTRATORS,
    "POST /v1/detect/build": IMAGE_READERS,
    "POST /v1/detect/deploy": ADMIN | {"(SENSOR_SERVICE)"},
    "POST /v1/detect/deploy/yaml": IMAGE_READERS,
    "POST /v1/policies": POLICY_WRITERS,
    "POST /v1/policies/dryrun": POLICY_WRITERS,
    "POST /v1/policies/export": POLICY_READERS,
    "POST /v1/policies/import": POLICY_WRITERS,
    "POST /v1/definitions/trust": ADMINISTRATORS,
    "POST /v1/definitions/unsigned": ADMINISTRATORS,
    "POST /v1/imageintegrations": ADMIN,
    "POST /v1/imageintegrations/test": ADMIN,
    "POST /v1/imageintegrations/test/updated": ADMIN,
    "POST /v1/images/scan": IMAGE_WRITERS,
    "POST /v1/login/roxctl": KNOWN,
    "POST /v1/permissionsets": ADMIN,
    "POST /v1/pullsecrets": ADMIN,
    "POST /v1/probeupload/getexisting": ADMINISTRATORS,
    "POST /v1/roles/{name:str}": ADMIN,
    "POST /v1/secretkeys/renew": ADMIN,
    "GET /v1/signingkeys": INTEGRATION_READERS,
    "POST /v1/signingkeys/replace": ADMIN,
    "POST /v1/simpleaccessscopes": ADMIN,
    "POST /v1/watchedimages": ADMIN,
    "PUT /v1/auth/password": KNOWN,
    "PUT /v1/clusters/{id:uuid}": ADMINISTRATORS,
    "PUT /v1/imageintegrations/{id:str}": ADMIN,
    "PUT /v1/permissionsets/{id:uuid}": ADMIN,
    "PUT /v1/roles/{name:str}": ADMIN,
    "PUT /v1/simpleaccessscopes/{id:uuid}": ADMIN,
}

#: gRPC's path to who may call it.
CALLS: dict[str, frozenset[str]] = {
    "/redoubt.v1.Definitions/GetActive": MATCHERS,
    "/redoubt.v1.Definitions/Watch": MATCHERS,
    "/redoubt.v1.Images/CancelScan": IMAGE_WRITERS,
    "/redoubt.v1.Images/CountImages": IMAGE_READERS,
    "/redoubt.v1.Images/DeleteImages": IMAGE_WRITERS,
    "/redoubt.v1.Images/GetImage": IMAGE_READERS,
    "/redoubt.v1.Images/ListImages": IMAGE_READERS,
    "/redoubt.v1.Images/ListScans": IMAGE_READERS,
    "/redoubt.v1.Images/Scan": IMAGE_WRITERS,
    "/redoubt.v1.ProbeUpload/GetExistingProbes": ADMINISTRATORS,
    "/redoubt.v1.Sensors/Communicate": frozenset({"(SENSOR_SERVICE)", "(REGISTRANT_SERVICE)"}),
    "/redoubt.v1.Sensors/EnrichIndexReport": frozenset({"(SENSOR_SERVICE)"}),
    "/redoubt.v1.Sensors/GetRegistryAccess": frozenset({"(SENSOR_SERVICE)"}),
    "/redoubt.v1.Sensors/GetScannedImage": frozenset({"(SENSOR_SERVICE)", "(ADMISSION_CONTROL_SERVICE)"}),
    "/v1.ProbeUploadService/GetExistingProbes": ADMINISTRATORS,
}

CALLERS: dict[str, Caller] = {
    "(nobody)": ANONYMOUS,
    **{name: caller(name) for name in DEFAULT_ROLES},
    **{f"({service})": Caller(kind=Kind.SERVICE, id="x", service=service) for service in Service},
}


@cache
def handlers() -> dict[str, HTTPRouteHandler]:
    found: dict[str, HTTPRouteHandler] = {}
    for route in without_database().routes:
        for handler in getattr(route, "route_handlers", ()):
            found |= {
                f"{method} {route.path}": handler for method in handler.http_methods if method != "OPTIONS"
            }
    return found


def let_in(conditions: Iterable[Condition]) -> frozenset[str]:
    names = set()
    several = tuple(conditions)
    for name, one in CALLERS.items():
        try:
            check(one, several)
        except (PermissionDenied, Unauthenticated):
            continue
        names.add(name)
    return frozenset(names)


def test_every_route_is_in_the_table_and_nothing_else() -> None:
    assert set(handlers()) == set(TABLE)


@pytest.mark.parametrize("route", TABLE)
def test_who_is_let_in(route: str) -> None:
    assert sorted(let_in(conditions_of(handlers()[route].opt))) == sorted(TABLE[route])


@cache
def calls() -> dict[str, Callable[..., object]]:
    services = services_without_database()
    none = cast(Any, None)
    return {
        path: handler.func
        for service in answering(services, none, none)
        for path, handler in service.__mapping__().items()
    }


def test_every_call_is_in_the_table_and_nothing_else() -> None:
    assert set(calls()) == set(CALLS)


@pytest.mark.parametrize("path", CALLS)
def test_who_may_make_a_call(path: str) -> None:
    method = calls()[path]
    conditions = permitted(method)
    if not conditions:  # for services only: asked by the port itself
        among = allowed(method)
        assert among
        conditions = services_of(*among).conditions
    assert sorted(let_in(conditions)) == sorted(CALLS[path])


def test_who_is_not_let_in_does_not_reach_the_handler() -> None:
    """Over HTTP: the declaration is what the guard asks."""
    app = without_database()

    async def ask() -> None:
        transport = httpx.ASGITransport(app=cast(Any, app), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="https://central.test") as http:
            for route, allowed in TABLE.items():
                method, path = route.split(" ")
                path = re.sub(r"\{\w+:uuid\}", "00000000-0000-4000-8000-000000000000", path)
                path = re.sub(r"\{\w+:\w+\}", "x", path)
                if "(nobody)" not in allowed:
                    assert (await http.request(method, path)).status_code == 401, route
                for role in set(DEFAULT_ROLES) - allowed:
                    answer = await http.request(method, path, headers=bearer(role))
                    assert answer.status_code == 403, (route, role)

    asyncio.run(ask())
