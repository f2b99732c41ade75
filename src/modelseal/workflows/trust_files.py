# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""What a site believes, looked at, and packed for one that reaches nobody."""

import io
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from modelseal.documents import canonical_json, parse_json_object, rfc3339
from modelseal.errors import ConflictError, ContentMismatchError, StorageError, UsageError
from modelseal.oci.descriptor import Digest
from modelseal.policy.document import Policy, parse_policy
from modelseal.trust.identity import COMPANY_ISSUER
from modelseal.trust.keys import parse_public_key
from modelseal.trust.parts import Part, parts_of
from modelseal.trust.trusted_root import (
    MAX_TRUST_FILE_BYTES,
    PUBLIC_INSTANCE,
    SIGNING_CONFIG,
    TRUSTED_ROOT,
    Source,
    load_root,
    parse_signing_config,
    read_source,
)
from modelseal.workflows.files import read_file
from modelseal.workflows.services import Clock, system_clock

MANIFEST: Final = "manifest.json"
KIND: Final = "TrustBundle"
_API_VERSION = "modelseal.dev/v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What to pack.

    Attributes:
        trusted_root: where it is (`read_source`); None for that of Sigstore's public instance,
            or for none where only keys are believed.
        signing_config: where it is, for a site that signs.
        policies: policy files.
        keys: public keys (PEM).
        offline: ask no TUF repository for news.
        public_instance: the TUF repository of Sigstore's public instance.
    """

    trusted_root: Source | None = None
    signing_config: Source | None = None
    policies: Sequence[Path] = ()
    keys: Sequence[Path] = ()
    offline: bool = False
    public_instance: Source = PUBLIC_INSTANCE


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedFile:
    """A file of a bundle."""

    path: str
    kind: str
    raw: bytes = field(repr=False)

    @property
    def digest(self) -> Digest:
        """Of its bytes."""
        return Digest.of(self.raw)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustBundle:
    """What a closed site needs, and what it believes with that.

    `created` is None for a trusted root that is only looked at.
    """

    source: str
    created: datetime | None
    files: tuple[PackedFile, ...]
    parts: tuple[Part, ...]

    @property
    def expires(self) -> datetime | None:
        """The first end of a part that is believed now; None when no end is known."""
        ends = [part.ends for part in self.parts if part.ends is not None]
        still = [end for end in ends if self.created is None or end > self.created]
        return min(still, default=None)


def export(output: Path, wanted: Wanted, clock: Clock = system_clock) -> TrustBundle:
    """Write what a closed site needs into a new directory, or a tar archive (`.tar`).

    Every file is read as the site will read it, so that it is not found broken there.

    Raises:
        UsageError: a file is not what it has to be.
        ConflictError: `output` exists.
        UnavailableError, VerificationError: a trusted root cannot be had.
        StorageError: the disk refused.
    """
    files = list(_collect(wanted))
    paths = [file.path for file in files]
    twice = next((path for path in paths if paths.count(path) > 1), "")
    if twice:
        raise UsageError(f"two files would be called {twice}", hint="rename one of them")
    bundle = TrustBundle(
        source=str(output), created=clock(), files=tuple(files), parts=_parts(files)
    )
    _write(output, bundle)
    return bundle


def show(source: Source, *, offline: bool = False) -> TrustBundle:
    """Look at a trusted root, or at a bundle that `export` wrote.

    Raises:
        ContentMismatchError: a file of the bundle is not the one that was packed.
        UsageError, UnavailableError, VerificationError: it cannot be read.
    """
    path = Path(source)
    if path.is_dir():
        return _read_bundle(str(path), lambda name: read_file(path / name, "bundle", limit=_LIMIT))
    if path.suffix == ".tar" and path.is_file():
        return _read_tar(path)
    raw = read_source(source, TRUSTED_ROOT, offline=offline)
    files = (PackedFile(path=str(source), kind="trustedRoot", raw=raw),)
    return TrustBundle(source=str(source), created=None, files=files, parts=_parts(files))


_LIMIT = MAX_TRUST_FILE_BYTES


def _collect(wanted: Wanted) -> list[PackedFile]:
    files, policies = [], []
    for path in wanted.policies:
        raw = read_file(path, "policy")
        policies.append(parse_policy(raw, str(path)))
        files.append(PackedFile(path=f"policies/{path.name}", kind="policy", raw=raw))
    for path in wanted.keys:
        raw = read_file(path, "key")
        parse_public_key(raw, str(path))  # a private key is refused here
        files.append(PackedFile(path=f"keys/{path.name}", kind="publicKey", raw=raw))
    if wanted.signing_config is not None:
        raw = read_source(wanted.signing_config, SIGNING_CONFIG, offline=wanted.offline)
        parse_signing_config(raw, str(wanted.signing_config))
        files.insert(0, PackedFile(path="signing_config.json", kind="signingConfig", raw=raw))
    root = wanted.trusted_root
    if root is None and _needs_public_instance(wanted, policies):
        root = wanted.public_instance
    if root is not None:
        load_root(root, offline=wanted.offline)
        # What was fetched a moment ago is in the cache now.
        raw = read_source(root, TRUSTED_ROOT, offline=wanted.offline)
        files.insert(0, PackedFile(path=TRUSTED_ROOT, kind="trustedRoot", raw=raw))
    return files


def _needs_public_instance(wanted: Wanted, policies: Sequence[Policy]) -> bool:
    """Tell whether the site verifies what the public instance vouches for, none other being named.

    Whoever names nothing does; keys and companies' authorities need nobody else.
    """
    if not wanted.keys and not policies:
        return wanted.signing_config is None
    issuers = {one.issuer for policy in policies for one in policy.identities}
    return any(not issuer.startswith(COMPANY_ISSUER) for issuer in issuers)


def _parts(files: Sequence[PackedFile]) -> tuple[Part, ...]:
    roots = [file for file in files if file.kind == "trustedRoot"]
    return tuple(part for file in roots for part in parts_of(file.raw, file.path))


def manifest_of(bundle: TrustBundle) -> dict[str, Any]:
    """Return what stands in a bundle's manifest."""
    return {
        "apiVersion": _API_VERSION,
        "kind": KIND,
        "createdAt": rfc3339(bundle.created) if bundle.created else None,
        "expires": rfc3339(bundle.expires) if bundle.expires else None,
        "files": [
            {
                "path": file.path,
                "kind": file.kind,
                "digest": str(file.digest),
                "size": len(file.raw),
            }
            for file in bundle.files
        ],
        "parts": [
            {
                "kind": part.kind,
                "name": part.name,
                "starts": rfc3339(part.starts),
                "ends": rfc3339(part.ends) if part.ends else None,
                "fingerprint": part.fingerprint,
            }
            for part in bundle.parts
        ],
    }


def _write(output: Path, bundle: TrustBundle) -> None:
    contents = {file.path: file.raw for file in bundle.files}
    contents[MANIFEST] = canonical_json(manifest_of(bundle)) + b"\n"
    try:
        if output.suffix == ".tar":
            with output.open("xb") as sink, tarfile.open(fileobj=sink, mode="w") as archive:
                for name, raw in sorted(contents.items()):
                    entry = tarfile.TarInfo(name)
                    entry.size, entry.mode = len(raw), 0o644
                    archive.addfile(entry, io.BytesIO(raw))
            return
        output.mkdir(parents=True)
        for name, raw in sorted(contents.items()):
            path = output / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(raw)
    except FileExistsError as error:
        raise ConflictError(
            f"{output} exists, and nothing is written over it", hint="name a new place"
        ) from error
    except OSError as error:
        raise StorageError(f"cannot write {output}: {error.strerror}") from error


def _read_tar(path: Path) -> TrustBundle:
    contents: dict[str, bytes] = {}
    try:
        with tarfile.open(path, mode="r:") as archive:
            for entry in archive:
                stream = archive.extractfile(entry) if entry.isreg() else None
                if stream is None or entry.size > _LIMIT or len(contents) >= _MAX_FILES:
                    raise UsageError(f"{path} is no bundle: {entry.name[:100]!r} in it")
                contents[entry.name] = stream.read()
    except (OSError, tarfile.TarError) as error:
        raise UsageError(f"cannot read {path}: {error}", code="invalid-trust-file") from error

    def read(name: str) -> bytes:
        if name not in contents:
            raise UsageError(f"{path} lacks {name}", code="invalid-trust-file")
        return contents[name]

    return _read_bundle(str(path), read)


_MAX_FILES = 256


def _read_bundle(source: str, read: Any) -> TrustBundle:  # noqa: ANN401 - a name to its bytes
    manifest = parse_json_object(read(MANIFEST), f"{source}: {MANIFEST}")
    listed = manifest.get("files")
    if manifest.get("kind") != KIND or not isinstance(listed, list) or len(listed) > _MAX_FILES:
        raise UsageError(f"{source} is no trust bundle", code="invalid-trust-file")
    files = tuple(_packed(source, item, read) for item in listed)
    created = manifest.get("createdAt")
    try:
        when = datetime.fromisoformat(created) if isinstance(created, str) else None
    except ValueError:
        when = None
    return TrustBundle(source=source, created=when, files=files, parts=_parts(files))


def _packed(source: str, item: object, read: Any) -> PackedFile:  # noqa: ANN401 - as above
    values = item if isinstance(item, Mapping) else {}
    path, kind, digest = (values.get(key) for key in ("path", "kind", "digest"))
    inside = isinstance(path, str) and ".." not in path.split("/") and not path.startswith("/")
    if not isinstance(path, str) or not inside or not isinstance(kind, str):
        raise UsageError(f"{source} is no trust bundle", code="invalid-trust-file")
    file = PackedFile(path=path, kind=kind, raw=read(path))
    if str(file.digest) != digest:
        raise ContentMismatchError(
            f"{source}: {path} has the digest {file.digest}, and {digest} was packed",
            hint="it was changed on its way; carry the bundle over again",
        )
    return file
