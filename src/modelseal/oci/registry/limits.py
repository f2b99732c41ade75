# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""What is known about uploads to a registry before the first byte goes there.

One table, by host. A layer above a limit would be refused after hours of sending, so it is refused
here. What a proxy before a registry takes is not known by any name: that is learned from its
answers (`BodyLimit`). docs/registries.md shows this table; a test compares the two.
"""

import re
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from modelseal.errors import LimitExceededError, UnavailableError
from modelseal.oci.descriptor import Descriptor
from modelseal.oci.registry.hosts import split_port

_GB = 10**9
_MIB = 1 << 20
_GIB = 1 << 30

_RUNGS = (64 * _MIB, 16 * _MIB, 4 * _MIB, _MIB, 256 << 10)
"""Sizes of a request's body, the next for when one is refused: below what Cloudflare takes (100
MB), and down to what nginx takes when nobody configures it (1 MiB)."""

_AS_GOOD_AS = 0.95
"""Part of the longest upload after which what breaks off is believed to have been ended."""

_WORTH_TELLING = 5e6
"""Bytes a second from which on an upload against the clock is worth a word beforehand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadPolicy:
    """How a registry takes blobs. Sizes are in bytes.

    Attributes:
        name: what its owner calls it.
        hosts: a regular expression for its whole host name.
        max_layer: the largest blob; None when no limit is known.
        max_seconds: the longest upload of one blob; None when no limit is known.
        max_patch: the largest body of one PATCH; 0 when a blob has to come in one request, None
            when no limit is known.
        resumes: whether an upload that broke off can be gone on with.
        source: where this is said.
    """

    name: str
    hosts: str = ""
    max_layer: int | None = None
    max_seconds: int | None = None
    max_patch: int | None = None
    resumes: bool = True
    source: str = ""


KNOWN = (
    UploadPolicy(
        name="GitHub Container Registry",
        hosts=r"ghcr\.io|containers\.[a-z0-9-]+\.ghe\.com",
        max_layer=10 * _GB,
        max_seconds=600,
        max_patch=4 * _MIB,
        resumes=False,
        source="https://docs.github.com/en/packages/working-with-a-github-packages-registry/"
        "working-with-the-container-registry",
    ),
    UploadPolicy(
        name="Amazon ECR Public",
        hosts=r"public\.ecr\.aws|ecr-public\.aws\.com",
        max_layer=10_000 * _MIB,
        max_patch=0,
        resumes=False,
        source="https://docs.aws.amazon.com/AmazonECR/latest/public/public-service-quotas.html",
    ),
    UploadPolicy(
        name="Amazon ECR",
        hosts=r"[0-9]{12}\.dkr[.-]ecr(-fips)?\.[a-z0-9-]+\.(amazonaws\.com(\.cn)?|on\.aws)",
        max_layer=52_000 * _MIB,
        max_patch=0,
        resumes=False,
        source="https://docs.aws.amazon.com/AmazonECR/latest/userguide/service-quotas.html",
    ),
    UploadPolicy(
        name="Google Artifact Registry",
        hosts=r"[a-z0-9-]+\.pkg\.dev|([a-z]+\.)?gcr\.io",
        max_patch=0,
        resumes=False,
        source="https://cloud.google.com/artifact-registry/docs/docker/pushing-and-pulling",
    ),
    UploadPolicy(
        name="Azure Container Registry",
        hosts=r"[a-z0-9-]+(\.[a-z0-9-]+)?\.azurecr\.(io|cn|us)",
        max_layer=200 * _GIB,
        source="https://learn.microsoft.com/azure/container-registry/container-registry-skus",
    ),
    UploadPolicy(name="Docker Hub", hosts=r"(index\.|registry-1\.)?docker\.io"),
    UploadPolicy(name="GitLab", hosts=r"registry\.gitlab\.com"),
)
"""Registries that have a name of their own. Harbor, GitLab and others in one's own house do not."""

ANY = UploadPolicy(name="any other")
"""A registry about which nothing is known: it is believed to do what the specification says."""


def policy_of(registry: str) -> UploadPolicy:
    """Return what is known about a registry, `host` or `host:port`."""
    host = split_port(registry)[0].lower()
    return next((known for known in KNOWN if re.fullmatch(known.hosts, host)), ANY)


def check_sizes(
    policy: UploadPolicy, registry: str, blobs: Iterable[tuple[str, int]]
) -> Iterator[str]:
    """Refuse blobs that are known to be too large; yield a sentence for each that has to hurry.

    Args:
        policy: of the registry.
        registry: its name, for the sentences.
        blobs: the name and the bytes of each; the name tells how it may be split.

    Raises:
        LimitExceededError: one is above the limit. `layer-too-large`.
    """
    for name, size in blobs:
        if policy.max_layer is not None and size > policy.max_layer:
            raise LimitExceededError(
                f"{registry} takes no layer above {human(policy.max_layer)}, and {name} has "
                f"{human(size)}",
                hint=f"{how_to_split(name, policy.max_layer)}; --ignore-limits sends it "
                "all the same",
                code="layer-too-large",
            )
        rate = size / policy.max_seconds if policy.max_seconds else 0
        if rate >= _WORTH_TELLING:
            assert policy.max_seconds is not None
            yield (
                f"{registry} ends an upload after {policy.max_seconds // 60} minutes: {name} "
                f"({human(size)}) needs {rate / 1e6:.0f} MB a second"
            )


def out_of_time(
    policy: UploadPolicy, registry: str, blob: Descriptor, took: float
) -> UnavailableError | None:
    """Return the error for an upload that broke off when its time was up; None when it was not.

    To try again would take as long, and end so again.

    Args:
        policy: of the registry.
        registry: its name.
        blob: what was sent.
        took: seconds until it broke off.
    """
    longest = policy.max_seconds
    if longest is None or took < longest * _AS_GOOD_AS:
        return None
    return UnavailableError(
        f"{registry} ended the upload of {blob.name} ({human(blob.size)}) after "
        f"{took / 60:.1f} minutes: it gives none of them more than {longest / 60:g}",
        hint=f"push from where the line is faster, or send less at once: "
        f"{how_to_split(blob.name, min(blob.size, policy.max_layer or blob.size))}",
        code="upload-too-slow",
    )


def how_to_split(name: str, limit: int) -> str:
    """Say how to split a file into parts well below `limit`, by the ending of its name."""
    shard = f"{max(1, limit * 8 // 10 // _GB)}GB"
    suffix = name.lower().rpartition(".")[2]
    if suffix == "safetensors":
        return (
            f'write it in shards: model.save_pretrained(DIR, max_shard_size="{shard}"), or '
            "huggingface_hub.save_torch_state_dict"
        )
    if suffix == "gguf":
        size = shard.removesuffix("B")
        return f"split it with llama.cpp: llama-gguf-split --split --split-max-size {size} {name}"
    if suffix == "onnx":
        return (
            "keep its weights outside, a file each: onnx.save_model(…, save_as_external_data=True, "
            "all_tensors_to_one_file=False)"
        )
    return f"split it into files below {human(limit)}"


def human(size: int) -> str:
    """Return a size as its owner writes it: `10 GB`, `52000 MiB`, `1.5 GiB`."""
    if size % _GB == 0:
        return f"{size // _GB} GB"
    if size % _GIB == 0:
        return f"{size // _GIB} GiB"
    if size % (1000 * _MIB) == 0:
        return f"{size // _MIB} MiB"
    return f"{size / _GIB:.1f} GiB"


class BodyLimit:
    """The most that one request to a registry may carry, as its answers show; for all threads."""

    def __init__(self, policy: UploadPolicy) -> None:
        """Begin with what is known: a whole blob at once is what every registry takes."""
        self.policy = policy
        cap = policy.max_patch
        self._rungs = [rung for rung in _RUNGS if cap is None or rung <= cap]
        self._lock = threading.Lock()
        self._most: int | None = None

    @property
    def most(self) -> int | None:
        """Bytes of one body; None for as many as there are."""
        return self._most

    def refused(self, size: int) -> bool:
        """Note that a body of `size` bytes was too large; tell whether a smaller one may do."""
        lower = next((rung for rung in self._rungs if rung < size), None)
        if lower is None:
            return False
        with self._lock:
            self._most = lower if self._most is None else min(self._most, lower)
        return True
