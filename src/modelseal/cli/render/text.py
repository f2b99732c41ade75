# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Values as text for people, one line an item.

A stranger's text is made printable before it is shown, and a line break in it is no new line: what
stands on a line of its own was said by us.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from modelseal.errors import Error

if TYPE_CHECKING:  # a command that pushes or pulls does not import what verifies, nor the reverse
    from modelseal.trust.identity import VerifiedStatement
    from modelseal.workflows.attest import Attached
    from modelseal.workflows.publish import Publication
    from modelseal.workflows.pull import PulledModel
    from modelseal.workflows.verify import Verification


def printable(text: str) -> str:
    """Return one line: a file name must not move the cursor of a terminal, nor add a line."""
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)


def size(count: int) -> str:
    """Write a number of bytes for people, in binary units."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if value < 1024 or unit == "TiB":  # noqa: PLR2004 - the base of binary units
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    raise AssertionError


def statement(item: "VerifiedStatement") -> Iterator[str]:
    """Write who said what, when, and what was checked."""
    when = f" at {item.signed_at:%Y-%m-%d %H:%M:%S %Z}" if item.signed_at else ""
    yield printable(f"  {item.predicate_type}")
    yield printable(f"    signed by {item.signer}{when}")
    for name, value in item.claims.items():
        yield printable(f"      {name}: {value}")
    yield f"    checked ({item.profile}): {', '.join(item.checks)}"


def verification(item: "Verification", reference: str) -> Iterator[str]:
    """Write what was verified."""
    from modelseal.oci.manifest import Index
    from modelseal.workflows.gather import ABOUT_FILES

    yield f"verified: {printable(reference)}"
    yield f"digest: {item.subject.digest}"
    if isinstance(item.manifest, Index):
        yield f"  an index; it covers the {len(item.manifest.manifests)} manifests that it lists"
        if item.model is not None:
            yield f"model: {item.model.digest}"
    yield printable(f"policy: {item.decision.policy} ({', '.join(item.decision.rules)})")
    yield "statements:"
    for found in item.counted:
        yield from statement(found)
    refused = [found for found in item.rejections if found.reason != ABOUT_FILES]
    if len(item.rejections) > len(refused):
        yield "OMS signature of the files: attached, and not looked at here (--oms verifies it)"
    if refused:
        yield f"not counted: {len(refused)} (`--output json` says why)"
    if item.unread:
        yield f"not looked at: {item.unread} more (the policy holds without them)"


def attached(items: "tuple[Attached, ...]") -> Iterator[str]:
    """Write which statements now hang where."""
    for item in items:
        yield f"  {printable(item.predicate_type)}"
        if item.document is not None:
            of_size = size(item.document.document.size)
            yield f"    for {printable(item.document.predicate_type)} ({of_size})"
        yield f"    {item.referrer}"


def publication(item: "Publication", reference: str) -> Iterator[str]:
    """Write what was published."""
    yield f"published: {printable(reference)}"
    yield f"digest: {item.subject.digest}"
    yield "statements:"
    for found in item.verification.counted:
        yield from statement(found)
    if item.oms is not None:
        yield from statement(item.oms.statement)


def pulled(item: "PulledModel", reference: str) -> Iterator[str]:
    """Write what was pulled."""
    yield f"pulled: {printable(reference)}"
    yield f"digest: {item.subject.digest}"
    yield f"files: {len(item.files)} in {item.path}"
    if item.verification is None:
        yield "signers: not checked (name them with --certificate-identity, --key or --policy)"
    else:
        names = sorted({str(found.signer) for found in item.verification.statements})
        yield f"signers: {printable(', '.join(names))}"
        if item.index is not None and item.verification.subject == item.index:
            yield f"signed: the index {item.index.digest}, which lists the digest"


def error_details(error: Error) -> Iterator[str]:
    """Write every finding and every rejected statement that an error carries."""
    if hasattr(error, "report"):  # a HostileModelError's
        from modelseal.cli.render.scanning import as_text

        yield from map(printable, as_text(error.report))
    if not hasattr(error, "verification"):
        return
    from modelseal.workflows.verify import NotVerifiedError, PolicyDeniedError

    if isinstance(error, PolicyDeniedError):
        for finding in error.verification.decision.findings:
            yield printable(f"  {finding.rule}: {finding.message}")
            yield printable(f"    expected: {finding.expected}")
            yield printable(f"    observed: {finding.observed}")
            remedy = finding.remediation
            command = f" ({remedy.command})" if remedy.command else ""
            yield printable(f"    to do: {remedy.summary}{command}")
    if isinstance(error, PolicyDeniedError | NotVerifiedError):
        for rejection in error.verification.rejections[:_MOST]:
            yield printable(f"  not counted: {rejection.referrer}: {rejection.message}")
        more = len(error.verification.rejections) - _MOST
        if more > 0:
            yield f"  … and {more} more"
        if error.verification.unread:
            yield f"  not looked at: {error.verification.unread}, which say to be of other types"


_MOST = 10
