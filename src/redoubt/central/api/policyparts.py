"""What policies are made of and carried in: ``/v1/policycategories``, ``/v1/mitreattackvectors``, and policies as custom resources."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Controller, Response, delete, get, post, put
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, JSONBody, QueryParameter

from redoubt.central import search
from redoubt.central.api import checks
from redoubt.central.api.given import Call, Empty, Given
from redoubt.central.api.policies import policies_of
from redoubt.central.auth.declare import allow, authenticated
from redoubt.central.auth.reach import reach
from redoubt.central.auth.roles import Access, Resource
from redoubt.central.policies import searching
from redoubt.central.policies.categories import Categories, Category
from redoubt.central.refusals import InvalidArgument, NotFound
from redoubt.policies import customresource, mitre
from redoubt.policies.policy import Policy

_READ = allow(Resource.WORKFLOW_ADMINISTRATION, Access.READ)
_WRITE = allow(Resource.WORKFLOW_ADMINISTRATION, Access.READ_WRITE)
#: Policies in an archive, at most.
_MOST = 1000


class CategoryList(msgspec.Struct, frozen=True):
    """``GetPolicyCategoriesResponse``."""

    categories: list[Category]


class NewCategory(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """``PolicyCategory`` as it is sent."""

    name: str
    id: str = ""
    is_default: bool = False


class RenameCategory(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """``RenamePolicyCategoryRequest``."""

    id: str
    new_category_name: str


class CategoryController(Controller):
    """Categories of policies."""

    path = "/v1/policycategories"
    tags = ("Policies",)

    @get(opt=_READ, summary="Categories of policies, with their identifiers")
    async def all(
        self, services: Given, text: Annotated[str, QueryParameter(name="query")] = ""
    ) -> CategoryList:
        """By name. ``query``: ``Policy Category``."""
        asked = search.parse(text)
        found = await _categories(services).all()
        return CategoryList(
            [
                each
                for each in found
                if search.fits(asked, {"policy category": (each.name,), "category": (each.name,)})
            ]
        )

    @get("/{id:uuid}", opt=_READ, summary="A category")
    async def one(self, services: Given, id: FromPath[UUID]) -> Category:  # noqa: A002
        """By its identifier."""
        return await _categories(services).get(id)

    @post(opt=_WRITE, status_code=200, summary="Add a category")
    async def add(self, services: Given, data: JSONBody[NewCategory]) -> Category:
        """Its identifier is chosen here."""
        if data.id or data.is_default:
            raise InvalidArgument("a new category has a name only")
        return await _categories(services).add(_name(data.name))

    @put(opt=_WRITE, summary="Give a category another name")
    async def rename(self, services: Given, data: JSONBody[RenameCategory]) -> Category:
        """In all policies that have it, too. Those that come with Central keep theirs."""
        identifier = UUID(checks.identifier(data.id, "id"))
        return await _categories(services).rename(identifier, _name(data.new_category_name))

    @delete("/{id:uuid}", opt=_WRITE, status_code=200, summary="Delete a category")
    async def remove(self, services: Given, id: FromPath[UUID]) -> Empty:  # noqa: A002
        """One that no policy has."""
        await _categories(services).delete(id)
        return Empty()


class VectorList(msgspec.Struct, frozen=True, rename="camel"):
    """``ListMitreAttackVectorsResponse``."""

    mitre_attack_vectors: tuple[mitre.Vector, ...]


class VectorAnswer(msgspec.Struct, frozen=True, rename="camel"):
    """``GetMitreVectorResponse``."""

    mitre_attack_vector: mitre.Vector


class PolicyVectors(msgspec.Struct, frozen=True):
    """``GetPolicyMitreVectorsResponse``."""

    policy: Policy | None
    vectors: tuple[mitre.Vector, ...]


class MitreController(Controller):
    """ATT&CK, as far as it is of use for containers."""

    path = "/v1"
    tags = ("Policies",)

    @get("/mitreattackvectors", opt=authenticated(), summary="ATT&CK's tactics and their techniques")
    async def all(self) -> VectorList:
        """Identifiers and names; descriptions are empty."""
        return VectorList(mitre.vectors())

    @get("/mitreattackvectors/{id:str}", opt=authenticated(), summary="A tactic of ATT&CK")
    async def one(self, id: FromPath[str]) -> VectorAnswer:  # noqa: A002
        """``TA0002``, with its techniques."""
        for each in mitre.vectors():
            if each.tactic.id == id:
                return VectorAnswer(each)
        raise NotFound(f"there is no tactic {id[:80]!r} here")

    @get("/policies/{id:str}/mitrevectors", opt=_READ, summary="A policy's tactics and techniques")
    async def of_policy(
        self,
        services: Given,
        id: FromPath[str],  # noqa: A002
        bare: Annotated[bool, QueryParameter(name="options.excludePolicy")] = False,
    ) -> PolicyVectors:
        """With their names, as far as they are known here."""
        policy = await policies_of(services).get(id)
        return PolicyVectors(None if bare else policy, mitre.named(policy.mitre_attack_vectors))


class FromSearch(msgspec.Struct, frozen=True, rename="camel"):
    """``PolicyFromSearchRequest``."""

    search_params: str = ""


class PolicyFromSearchController(Controller):
    """Policies made of searches."""

    path = "/v1/policies/from-search"
    tags = ("Policies",)

    @post(opt=_WRITE, status_code=200, summary="A search made a policy")
    async def made(self, request: Call, services: Given, data: JSONBody[FromSearch]) -> searching.Made:
        """It is not kept: it has neither a name nor a severity yet. ``alteredSearchTerms``: fields that no criterion says, or not wholly."""
        asked = search.parse(data.search_params)
        if not asked:
            raise InvalidArgument("searchParams is missing: a policy of what?")
        seen = await reach(services.pool, request.user, Resource.CLUSTER)
        rows = await services.pool.fetch("SELECT id, name FROM clusters ORDER BY name")
        return searching.made(asked, {row["name"]: str(row["id"]) for row in rows if seen.has(row["id"])})


class SaveAsZip(msgspec.Struct, frozen=True):
    """Which policies."""

    ids: tuple[str, ...] = ()


class CustomResourceController(Controller):
    """Policies as custom resources."""

    path = "/api/policy/custom-resource"
    tags = ("Policies",)

    @post(
        "/save-as-zip",
        opt=_READ,
        status_code=200,
        summary="Policies as custom resources, in a zip",
        responses={200: ResponseSpec(bytes, description="A YAML file each", media_type="application/zip")},
    )
    async def save(self, services: Given, data: JSONBody[SaveAsZip]) -> Response[bytes]:
        """``SecurityPolicy`` of ``config.stackrox.io/v1alpha1``."""
        if not data.ids or len(data.ids) > _MOST:
            raise InvalidArgument(f"ids: one at least, and at most {_MOST}")
        found = await policies_of(services).exported(tuple(dict.fromkeys(data.ids)))
        return Response(
            customresource.archive(found),
            media_type="application/zip",
            headers={"Content-Disposition": 'attachment; filename="security_policies.zip"'},
        )


def _categories(services: Given) -> Categories:
    return Categories(services.pool, policies_of(services))


def _name(given: str) -> str:
    """Raises ``InvalidArgument``."""
    return checks.name(given.strip(), "a category's name", 128)
