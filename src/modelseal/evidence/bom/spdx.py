# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""The same facts as an SPDX 3.0.1 document (JSON-LD), with its AI and Dataset profiles.

Source: SPDX 3.0.1, chapters AI, Dataset, Software, SimpleLicensing. The library that checks what is
written is an extra of the package: `pip install 'modelseal[spdx]'`.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, Final

from modelseal.errors import InvalidProjectError, UsageError
from modelseal.evidence.bom.facts import Data, ModelFacts, Package
from modelseal.evidence.bom.licenses import spdx_expression
from modelseal.evidence.bom.purl import oci_purl, purl_of
from modelseal.modelpack.considerations import EnergyConsumption
from modelseal.modelpack.project import PersonalData
from modelseal.oci.descriptor import Digest

SPEC_VERSION: Final = "3.0.1"
_NAMESPACE: Final = "https://modelseal.dev/spdx"
_ENERGY: Final = {
    "training": "ai_trainingEnergyConsumption",
    "fine-tuning": "ai_finetuningEnergyConsumption",
    "inference": "ai_inferenceEnergyConsumption",
}
_COMMENT: Final = (
    "Digests, files and package URLs were computed from bytes; everything else is declared."
)


def spdx_document(facts: ModelFacts, tool_version: str, created: datetime) -> dict[str, Any]:
    """Return the document.

    Args:
        facts: what is known.
        tool_version: of modelseal, which writes it.
        created: SPDX asks for a time; `SOURCE_DATE_EPOCH`, where it is set, is taken instead.

    Raises:
        UsageError: the extra is not installed.
        InvalidProjectError: something declared cannot be said in SPDX.
    """
    try:
        from spdx_python_model import v3_0_1
    except ImportError as error:
        raise UsageError(
            "writing SPDX needs a library that is not installed",
            hint="pip install 'modelseal[spdx]'",
        ) from error
    writer = _Writer(v3_0_1, facts, tool_version, facts.created or created)
    try:
        return writer.write()
    except (ValueError, TypeError) as error:
        raise InvalidProjectError(f"SPDX cannot say this: {error}") from error


class _Writer:
    """Collects the elements of one document; each is added by the method that makes it."""

    def __init__(self, model: Any, facts: ModelFacts, version: str, created: datetime) -> None:  # noqa: ANN401 - a module
        self._spdx: Any = model
        self._facts = facts
        self._count = 0
        digest = facts.subject or Digest.of(facts.project.metadata.name.encode())
        self._base = f"{_NAMESPACE}/{digest.algorithm}-{digest.encoded}"
        self._elements: list[Any] = []
        info = model.CreationInfo(specVersion=SPEC_VERSION, created=created)
        info._id = "_:creationInfo"  # noqa: SLF001 - the library's name for it
        self._info = info
        self._elements.append(info)
        agent = self._element(model.SoftwareAgent, "agent", name=f"modelseal {version}")
        info.createdBy.append(agent)

    def write(self) -> dict[str, Any]:
        """Return the document as JSON-LD."""
        spdx = self._spdx
        root = self._model()
        sbom = self._element(spdx.software_Sbom, "sbom")
        sbom.rootElement.append(root)
        sbom.software_sbomType.append(spdx.software_SbomType.build)
        document = self._element(spdx.SpdxDocument, "document")
        document.rootElement.append(sbom)
        for profile in ("core", "software", "simpleLicensing", "ai", "dataset"):
            identifier = getattr(spdx.ProfileIdentifierType, profile)
            document.profileConformance.append(identifier)
            sbom.profileConformance.append(identifier)
        data: dict[str, Any] = spdx.JSONLDSerializer().serialize_data(
            spdx.SHACLObjectSet(self._elements), force_at_graph=True
        )
        return data

    def _element(self, kind: Any, fragment: str, **fields: object) -> Any:  # noqa: ANN401 - classes of the library
        made = kind(creationInfo=self._info, **fields)
        made._id = f"{self._base}#{fragment}"  # noqa: SLF001
        self._elements.append(made)
        return made

    def _relate(self, one: object, kind: str, others: Iterable[object]) -> None:
        targets = list(others)
        if targets:
            self._count += 1
            self._element(
                self._spdx.Relationship,
                f"relationship-{self._count}",
                from_=one,
                to=targets,
                relationshipType=getattr(self._spdx.RelationshipType, kind),
            )

    def _model(self) -> Any:  # noqa: ANN401
        spdx, facts = self._spdx, self._facts
        metadata = facts.project.metadata
        model = self._element(spdx.ai_AIPackage, "model", name=metadata.name, comment=_COMMENT)
        model.software_packageVersion = metadata.version
        model.software_primaryPurpose = spdx.software_SoftwarePurpose.model
        _set(model, "description", metadata.description)
        _set(model, "software_sourceInfo", metadata.source_url)
        if facts.subject is not None:
            model.software_packageUrl = oci_purl(metadata.name, facts.subject, facts.repository)
        self._hashes(model, (facts.subject,))
        if metadata.vendor:
            model.suppliedBy = self._element(spdx.Organization, "supplier", name=metadata.vendor)
        for place, author in enumerate(metadata.authors):
            person = self._element(spdx.Person, f"author-{place}", name=author)
            model.originatedBy.append(person)
        self._ai(model)
        self._licenses(model, "model", metadata.licenses)
        datasets = [self._dataset(*item) for item in enumerate(facts.data)]
        self._relate(model, "trainedOn", datasets)
        self._relate(model, "contains", self._files())
        self._packages(model)
        self._base_model(model)
        return model

    def _ai(self, model: Any) -> None:  # noqa: ANN401
        facts, project = self._facts, self._facts.project
        considerations = project.considerations
        names = (facts.family.value, facts.architecture.value)
        model.ai_typeOfModel.extend(name for name in names if name)
        approach = project.training.approach
        _set(model, "ai_informationAboutTraining", f"{approach} learning" if approach else "")
        use = [f"task: {project.task}"] if project.task else []
        _set(
            model,
            "ai_informationAboutApplication",
            "\n".join([*use, *considerations.use_cases]),
        )
        _set(model, "ai_limitation", "\n".join(considerations.technical_limitations))
        entry = self._spdx.DictionaryEntry
        for name, value in sorted(facts.hyperparameters.items()):
            model.ai_hyperparameter.append(entry(key=name, value=value))
        for found in facts.evaluations:
            for metric in found.metrics:
                name = f"{metric.name} [{metric.slice}]" if metric.slice else metric.name
                model.ai_metric.append(entry(key=name, value=metric.value))
        sensitive = self._presence([item.personal for item in facts.data])
        if sensitive is not None:
            model.ai_useSensitivePersonalInformation = sensitive
        self._energy(model, considerations.energy_consumptions)

    def _presence(self, said: Sequence[PersonalData | None]) -> object:
        """Return `yes` if any data is sensitive, `no` if all is said not to be, else nothing."""
        if PersonalData.SENSITIVE in said:
            return self._spdx.PresenceType.yes
        return self._spdx.PresenceType.no if said and None not in said else None

    def _energy(self, model: Any, consumptions: Sequence[EnergyConsumption]) -> None:  # noqa: ANN401
        spdx = self._spdx
        known = [item for item in consumptions if item.activity in _ENERGY]
        if not known:
            return
        energy = spdx.ai_EnergyConsumption()
        for item in known:
            told = spdx.ai_EnergyConsumptionDescription(
                ai_energyQuantity=float(item.activity_energy_cost.value),
                ai_energyUnit=spdx.ai_EnergyUnitType.kilowattHour,
            )
            getattr(energy, _ENERGY[item.activity]).append(told)
        model.ai_energyConsumption = energy

    def _dataset(self, place: int, data: Data) -> Any:  # noqa: ANN401
        spdx, dataset = self._spdx, data.dataset
        made = self._element(spdx.dataset_DatasetPackage, f"dataset-{place}", name=dataset.name)
        made.software_primaryPurpose = spdx.software_SoftwarePurpose.data
        made.dataset_datasetType.append(spdx.dataset_DatasetType.noAssertion)
        _set(made, "software_packageVersion", dataset.version)
        if dataset.uri:
            made.software_downloadLocation = dataset.uri
        self._hashes(made, data.hashes)
        sensitive = self._presence([data.personal])
        if sensitive is not None:
            made.dataset_hasSensitivePersonalInformation = sensitive
        for number, name in enumerate(dataset.governance.owners):
            owner = self._element(spdx.Organization, f"dataset-{place}-owner-{number}", name=name)
            made.originatedBy.append(owner)
        license_ = (dataset.license,) if dataset.license else ()
        self._licenses(made, f"dataset-{place}", license_)
        return made

    def _files(self) -> Iterator[Any]:
        for place, path in enumerate(sorted(self._facts.files)):
            file = self._element(self._spdx.software_File, f"file-{place}", name=path)
            self._hashes(file, (self._facts.files[path],))
            yield file

    def _packages(self, model: Any) -> None:  # noqa: ANN401
        lock = self._facts.lock
        if lock is None:
            return
        packages = enumerate(lock.packages)
        made = {item.purl: self._package(place, item) for place, item in packages}
        self._relate(model, "dependsOn", (made[purl] for purl in lock.roots if purl in made))
        for item in lock.packages:
            needs = sorted(set(item.needs) & made.keys())
            self._relate(made[item.purl], "dependsOn", (made[purl] for purl in needs))

    def _package(self, place: int, package: Package) -> Any:  # noqa: ANN401
        made = self._element(self._spdx.software_Package, f"package-{place}", name=package.name)
        made.software_packageVersion = package.version
        made.software_packageUrl = package.purl
        self._hashes(made, package.hashes)
        return made

    def _base_model(self, model: Any) -> None:  # noqa: ANN401
        reference = self._facts.project.training.base_model
        if reference is None:
            return
        base = self._element(self._spdx.ai_AIPackage, "base-model", name="base-model")
        base.software_packageUrl = purl_of(reference, "base-model")
        self._hashes(base, (reference.digest,))
        self._relate(base, "ancestorOf", [model])

    def _licenses(self, element: object, name: str, licenses: Sequence[str]) -> None:
        expression = spdx_expression(licenses)
        if expression:
            made = self._element(
                self._spdx.simplelicensing_LicenseExpression,
                f"{name}-license",
                simplelicensing_licenseExpression=expression,
            )
            self._relate(element, "hasDeclaredLicense", [made])

    def _hashes(self, element: Any, digests: Iterable[Digest | None]) -> None:  # noqa: ANN401
        for digest in digests:
            if digest is not None:
                algorithm = getattr(self._spdx.HashAlgorithm, digest.algorithm)
                element.verifiedUsing.append(
                    self._spdx.Hash(algorithm=algorithm, hashValue=digest.encoded)
                )


def _set(element: object, name: str, text: str) -> None:
    if text:
        setattr(element, name, text)
