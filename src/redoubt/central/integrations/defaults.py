"""Public registries that an online Central knows from its first start. Offline there are none: nobody named them.

Identifiers and names are the original's where it has them.
"""

from __future__ import annotations

from redoubt.central.integrations.records import DockerConfig, ImageIntegration, QuayConfig


def _public(identifier: str, name: str, endpoint: str) -> ImageIntegration:
    docker = DockerConfig(endpoint=endpoint)
    return ImageIntegration(
        id=identifier,
        name=name,
        type="docker",
        categories=["REGISTRY"],
        docker=docker,
        skip_test_integration=True,
    )


PUBLIC: tuple[ImageIntegration, ...] = (
    _public("10d3b4dc-8295-41bc-bb50-6da5484cdb1a", "Public DockerHub", "registry-1.docker.io"),
    _public("f6ce8982-1a75-4430-96f3-9b22b4b66604", "Public Kubernetes Registry", "registry.k8s.io"),
    _public("05fea766-e2f8-44b3-9959-eaa61a4f7466", "Public GCR", "gcr.io"),
    ImageIntegration(
        id="e50087f1-6840-4d15-aeca-21ba636f0878",
        name="Public Quay.io",
        type="quay",
        categories=["REGISTRY"],
        quay=QuayConfig(endpoint="quay.io"),
        skip_test_integration=True,
    ),
    _public("7d1e3a52-4f0b-4a52-9b8e-3f6f0d1c2a01", "Public GitHub Container Registry", "ghcr.io"),
    _public("7d1e3a52-4f0b-4a52-9b8e-3f6f0d1c2a02", "Public Red Hat Registry", "registry.access.redhat.com"),
    _public("7d1e3a52-4f0b-4a52-9b8e-3f6f0d1c2a03", "Public Amazon ECR", "public.ecr.aws"),
    _public(
        "7d1e3a52-4f0b-4a52-9b8e-3f6f0d1c2a04", "Public Microsoft Artifact Registry", "mcr.microsoft.com"
    ),
)
