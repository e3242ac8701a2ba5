"""CSAF 2.0 documents of the VEX profile: as much of their shape as says which product is in which state.

https://docs.oasis-open.org/csaf/csaf/v2.0/. Knows how products are put together (branches, relationships),
not which of them matter or what is made of them.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

#: Relationships that may lead from one product to the one that it is a component of.
_HOPS = 5


class Tracking(msgspec.Struct):
    id: str
    status: str = ""
    current_release_date: str | None = None
    initial_release_date: str | None = None


class _Severity(msgspec.Struct):
    text: str | None = None


class Header(msgspec.Struct):
    tracking: Tracking
    aggregate_severity: _Severity | None = None
    title: str | None = None


class _Helper(msgspec.Struct):
    cpe: str | None = None
    purl: str | None = None


class _Product(msgspec.Struct):
    product_id: str
    product_identification_helper: _Helper | None = None


class _Branch(msgspec.Struct):
    branches: list[_Branch] | None = None
    product: _Product | None = None


class _Relationship(msgspec.Struct):
    full_product_name: _Product
    product_reference: str
    relates_to_product_reference: str


class ProductTree(msgspec.Struct):
    branches: list[_Branch] | None = None
    full_product_names: list[_Product] | None = None
    relationships: list[_Relationship] | None = None


class _Rating(msgspec.Struct):
    vector: str = msgspec.field(default="", name="vectorString")
    score: float | None = msgspec.field(default=None, name="baseScore")


class Score(msgspec.Struct):
    products: list[str] | None = None
    cvss_v2: _Rating | None = None
    cvss_v3: _Rating | None = None
    cvss_v4: _Rating | None = None

    @property
    def ratings(self) -> list[_Rating]:
        """Those that are given, the newest version of CVSS first."""
        return [rating for rating in (self.cvss_v4, self.cvss_v3, self.cvss_v2) if rating]


class Threat(msgspec.Struct):
    category: str
    details: str = ""
    product_ids: list[str] | None = None


class Remediation(msgspec.Struct):
    category: str
    details: str = ""
    url: str | None = None
    product_ids: list[str] | None = None


class _Link(msgspec.Struct):
    url: str | None = None


class _Weakness(msgspec.Struct):
    id: str | None = None


class Vulnerability(msgspec.Struct):
    cve: str = ""
    title: str | None = None
    cwe: _Weakness | None = None
    release_date: str | None = None
    product_status: dict[str, list[str]] = {}
    scores: list[Score] = []
    threats: list[Threat] = []
    remediations: list[Remediation] = []
    references: list[_Link] = []


class Document(msgspec.Struct):
    document: Header
    product_tree: ProductTree | None = None
    vulnerabilities: list[Vulnerability] = []


class Component(NamedTuple):
    """A component of a product: the component's purl, the product's CPE, and the purl of what is between."""

    purl: str
    cpe: str
    within: str = ""


class Products:
    """The product tree of one document, by product id."""

    def __init__(self, tree: ProductTree | None) -> None:
        self._helpers: dict[str, _Helper] = {}
        self._relations: dict[str, tuple[str, str]] = {}
        if tree is None:
            return
        waiting = list(tree.branches or ())
        products = list(tree.full_product_names or ())
        while waiting:
            branch = waiting.pop()
            if branch.product:
                products.append(branch.product)
            if branch.branches:
                waiting += branch.branches
        for product in products:
            if product.product_identification_helper:
                self._helpers[product.product_id] = product.product_identification_helper
        for relation in tree.relationships or ():
            self._relations[relation.full_product_name.product_id] = (
                relation.product_reference,
                relation.relates_to_product_reference,
            )

    def component(self, product_id: str) -> Component | None:
        """What a product id in a status stands for; None where it is no component with a purl of a CPE."""
        relation = self._relations.get(product_id)
        if relation is None:
            return None
        reference, product = relation
        within = ""
        for _ in range(_HOPS):
            if (inner := self._relations.get(reference)) is None:
                break
            reference = inner[0]
        for _ in range(_HOPS):
            if (outer := self._relations.get(product)) is None:
                break
            between = self._helpers.get(outer[0])
            within = (between and between.purl) or within
            product = outer[1]
        component, whole = self._helpers.get(reference), self._helpers.get(product)
        if component is None or whole is None or not component.purl or not whole.cpe:
            return None
        return Component(component.purl, whole.cpe, within)


class _Headed(msgspec.Struct):
    document: Header


decode = msgspec.json.Decoder(Document).decode
#: The same without what makes up nearly all of it.
decode_header = msgspec.json.Decoder(_Headed).decode
