# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""The ML-BOM: CycloneDX 1.6 (ECMA-424), as JSON.

The same facts give the same bytes: no random serial number, and no time but `SOURCE_DATE_EPOCH`.
What is not known is left out. How each field is known: `basis`.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote
from uuid import NAMESPACE_URL, uuid5

from modelseal.documents import canonical_json, rfc3339
from modelseal.evidence.bom.basis import marked
from modelseal.evidence.bom.facts import Data, Lock, ModelFacts, Package
from modelseal.evidence.bom.licenses import spdx_expression
from modelseal.evidence.bom.model_card import model_card
from modelseal.evidence.bom.purl import oci_purl, purl_of, pypi_purl
from modelseal.evidence.bom.shapes import Json, filled, hashes, named, references
from modelseal.evidence.facts import Basis
from modelseal.modelpack.project import PersonalData
from modelseal.oci.descriptor import Digest
from modelseal.oci.reference import DigestReference, Repository

SPEC_VERSION: Final = "1.6"
MODEL: Final = "model"
"""The `bom-ref` of the model itself."""

_SENSITIVE: Final = {
    PersonalData.PERSONAL: ["personal data"],
    PersonalData.SENSITIVE: ["personal data", "sensitive personal data"],
}
_SERIAL_NAMESPACE = uuid5(NAMESPACE_URL, "https://modelseal.dev/cyclonedx/serial-number")


def cyclonedx(facts: ModelFacts, tool_version: str) -> Json:
    """Return the document.

    Args:
        facts: what is known.
        tool_version: of modelseal, which writes it.
    """
    components = [
        *(_dataset(place, data) for place, data in enumerate(facts.data)),
        *(_image(image) for image in _images(facts)),
        *_packages(facts.lock),
    ]
    document = filled(
        {
            "$schema": f"http://cyclonedx.org/schema/bom-{SPEC_VERSION}.schema.json",
            "bomFormat": "CycloneDX",
            "specVersion": SPEC_VERSION,
            "version": 1,
            "metadata": _metadata(facts, tool_version),
            "components": components,
            "dependencies": _dependencies(facts),
            "compositions": _compositions(facts),
            "properties": marked(
                Basis.VERIFIED,
                {
                    "/components": Basis.DECLARED,
                    "/dependencies": Basis.DECLARED,
                    "/metadata/timestamp": Basis.DECLARED,
                },
            ),
        }
    )
    return {**document, "serialNumber": _serial_number(facts, document)}


def _serial_number(facts: ModelFacts, document: Json) -> str:
    """Derive the number from the model and all that is said: another content is another BOM."""
    name = f"{facts.subject} {Digest.of(canonical_json(document))}"
    return f"urn:uuid:{uuid5(_SERIAL_NAMESPACE, name)}"


def _metadata(facts: ModelFacts, tool_version: str) -> Json:
    tool = {
        "type": "application",
        "name": "modelseal",
        "version": tool_version,
        "purl": pypi_purl("modelseal", tool_version),
    }
    return filled(
        {
            "timestamp": rfc3339(facts.created) if facts.created else "",
            "lifecycles": [{"phase": "build"}],
            "tools": {"components": [tool]},
            "component": _model(facts),
        }
    )


def _model(facts: ModelFacts) -> Json:
    project = facts.project
    metadata = project.metadata
    exceptions = {"/components": Basis.VERIFIED}
    if facts.subject is not None:
        exceptions |= {"/hashes": Basis.VERIFIED, "/purl": Basis.VERIFIED}
    return filled(
        {
            "type": "machine-learning-model",
            "bom-ref": MODEL,
            "supplier": named(metadata.vendor),
            "authors": [_author(author) for author in metadata.authors],
            "name": metadata.name,
            "version": metadata.version,
            "description": metadata.description,
            "hashes": hashes(facts.subject),
            "licenses": _licenses(metadata.licenses),
            "purl": oci_purl(metadata.name, facts.subject, facts.repository)
            if facts.subject
            else "",
            "pedigree": _pedigree(facts),
            "externalReferences": references(metadata.source_url, "vcs"),
            "components": [_file(facts, path) for path in sorted(facts.files)],
            "modelCard": model_card(facts, dataset_refs(facts.data)),
            "properties": marked(
                Basis.DECLARED,
                exceptions,
                tuple(_model_properties(facts)),
            ),
        }
    )


def _model_properties(facts: ModelFacts) -> Iterator[tuple[str, str, Basis]]:
    measured, needs = facts.measured, facts.project.requirements
    declared = Basis.DECLARED
    values = [
        ("format", facts.format.value, facts.format.basis),
        ("precision", facts.precision.value, facts.precision.basis),
        ("parameters", str(measured.parameters or ""), Basis.VERIFIED),
        ("paramSize", facts.project.param_size, declared),
        ("baseModel", "none" * facts.project.training.from_scratch, declared),
        ("requirements:python", needs.python, declared),
        ("requirements:memory", needs.memory, declared),
        *(
            (f"requirements:runtime:{item.name}", item.version or "any", declared)
            for item in needs.runtimes
        ),
        *(
            ("requirements:platform", f"{item.os}/{item.architecture}", declared)
            for item in needs.platforms
        ),
        *(
            (
                "requirements:accelerator",
                " ".join(filter(None, (item.type, item.compute_capability, item.memory))),
                declared,
            )
            for item in needs.accelerators
        ),
    ]
    for name, value, basis in values:
        if value:
            yield f"modelseal:{name}", value, basis


def _author(text: str) -> Json:
    """Read `Ada <ada@acme.example>` as name and e-mail address, anything else as a name."""
    name, opened, rest = text.partition("<")
    email = rest.removesuffix(">").strip()
    if opened and rest.endswith(">") and _is_email(email):
        return filled({"name": name.strip(), "email": email})
    return {"name": text}


def _is_email(text: str) -> bool:
    before, at, host = text.partition("@")
    odd = set(before + host) & set(' <>@,;"')
    return bool(before and at and "." in host) and text.isascii() and not odd


def _pedigree(facts: ModelFacts) -> Json:
    training = facts.project.training
    base, code = training.base_model, training.code
    return filled(
        {
            "ancestors": [_base_model(base)] if base else [],
            "commits": [{"uid": code.commit, "url": code.repository}] if code else [],
        }
    )


def _base_model(reference: DigestReference) -> Json:
    name = _last(reference, "base-model")
    return {
        "type": "machine-learning-model",
        "bom-ref": "base-model",
        "name": name,
        "hashes": hashes(reference.digest),
        "purl": purl_of(reference, name),
    }


def _images(facts: ModelFacts) -> tuple[DigestReference, ...]:
    image = facts.project.requirements.image
    return (image,) if image else ()


def _image(reference: DigestReference) -> Json:
    name = _last(reference, "image")
    return {
        "type": "container",
        "bom-ref": "image",
        "name": name,
        "hashes": hashes(reference.digest),
        "purl": purl_of(reference, name),
    }


def _last(reference: DigestReference, otherwise: str) -> str:
    location = reference.location
    return location.name.rpartition("/")[2] if isinstance(location, Repository) else otherwise


def _file(facts: ModelFacts, path: str) -> Json:
    kind = facts.kinds.get(path, "")
    return filled(
        {
            "type": "file",
            "bom-ref": f"file:{quote(path)}",
            "name": path,
            "hashes": hashes(facts.files[path]),
            # How it is known stands beside the list: there may be thousands.
            "properties": [{"name": "modelseal:kind", "value": kind}] if kind else [],
        }
    )


def dataset_refs(datasets: Sequence[Data]) -> list[str]:
    """Return the `bom-ref` of every dataset."""
    return [_dataset_ref(place) for place, _ in enumerate(datasets)]


def _dataset_ref(place: int) -> str:
    return f"dataset:{place}"


def _dataset(place: int, item: Data) -> Json:
    dataset, personal = item.dataset, item.personal
    governance = dataset.governance
    data = filled(
        {
            "type": "dataset",
            "name": dataset.name,
            "contents": filled({"url": dataset.uri}),
            "sensitiveData": _SENSITIVE.get(personal, []) if personal else [],
            "governance": filled(
                {
                    role: [{"organization": named(name)} for name in names]
                    for role, names in (
                        ("custodians", governance.custodians),
                        ("stewards", governance.stewards),
                        ("owners", governance.owners),
                    )
                }
            ),
        }
    )
    told = [
        ("modelseal:personalData", str(personal or "")),
        ("modelseal:legalBasis", dataset.legal_basis),
        ("modelseal:dirHash", item.digests.get("dirHash", "")),
        ("modelseal:croissant", dataset.croissant),
        *(("modelseal:usage", term) for term in dataset.usage),
    ]
    return filled(
        {
            "type": "data",
            "bom-ref": _dataset_ref(place),
            "name": dataset.name,
            "version": dataset.version,
            "hashes": [found for digest in item.hashes for found in hashes(digest)],
            "licenses": _licenses((dataset.license,) if dataset.license else ()),
            "externalReferences": references(dataset.uri, "distribution"),
            "data": [data],
            "properties": _of_data(item, told),
        }
    )


def _of_data(item: Data, told: Sequence[tuple[str, str]]) -> list[Json]:
    """Mark the digests of data that were at hand; all else is declared, as its list says."""
    properties = [{"name": name, "value": value} for name, value in told if value]
    if item.basis is Basis.DECLARED:
        return [*properties]
    digest = "/hashes" if item.hashes else "modelseal:dirHash"
    return [*properties, *marked(Basis.DECLARED, {digest: item.basis})]


def _packages(lock: Lock | None) -> Iterator[Json]:
    for package in lock.packages if lock else ():
        yield filled(
            {
                "type": "library",
                "bom-ref": package.purl,
                "name": package.name,
                "version": package.version,
                "hashes": _package_hashes(package),
                "purl": package.purl,
            }
        )


def _package_hashes(package: Package) -> list[Json]:
    found = [item for digest in package.hashes for item in hashes(digest)]
    return sorted(found, key=lambda item: (item["alg"], item["content"]))


def _dependencies(facts: ModelFacts) -> list[Json]:
    lock = facts.lock
    refs = dataset_refs(facts.data)
    images = ["image" for _ in _images(facts)]
    edges = {MODEL: [*refs, *images, *(lock.roots if lock else ())]}
    edges |= {ref: [] for ref in (*refs, *images)}
    known = {package.purl for package in lock.packages} if lock else set()
    for package in lock.packages if lock else ():
        edges[package.purl] = sorted(known.intersection(package.needs))
    return [filled({"ref": ref, "dependsOn": needs}) for ref, needs in edges.items()]


def _compositions(facts: ModelFacts) -> list[Json]:
    """Say how complete it is: the manifest lists every file, and no lock tells what else there is.

    Source: CycloneDX 1.6, `compositions`, and "known unknowns" of the minimum elements of an SBOM.
    """
    files = [{"aggregate": "complete", "assemblies": [MODEL]}] if facts.files else []
    return [
        *files,
        {"aggregate": "unknown" if facts.lock is None else "incomplete", "dependencies": [MODEL]},
    ]


def _licenses(licenses: Sequence[str]) -> list[Json]:
    expression = spdx_expression(licenses)
    if expression:
        return [{"expression": expression, "acknowledgement": "declared"}]
    return [{"license": {"name": text, "acknowledgement": "declared"}} for text in licenses]


def document_bytes(document: Mapping[str, Any]) -> bytes:
    """Write a document for a file or a terminal: a line a field, and nothing but ASCII."""
    return json.dumps(_ordered(document), indent=2).encode() + b"\n"


def _ordered(document: Mapping[str, Any]) -> Json:
    first: Iterable[str] = ("$schema", "bomFormat", "specVersion", "serialNumber", "version")
    return {**{key: document[key] for key in first if key in document}, **document}
