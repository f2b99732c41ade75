# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""A small honest registry in this process, which can be told to misbehave.

It speaks OCI distribution 1.1 on a free loopback port and keeps everything in memory. It checks
digests as a real one does. Tests reach into `blobs`, `manifests` and `tags`, read what was asked
for in `requests`, and add a `Fault` (or a `before_answer` hook) for what goes wrong.
"""

import base64
import hashlib
import json
import re
import ssl
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Self, TypeAlias
from urllib.parse import parse_qs, urlsplit

from tests.support.fake_http import Answer, Fault, Intake, Recorded, Server
from tests.support.registry_ways import AS_SPECIFIED, Ways

__all__ = ["INDEX", "Answer", "FakeRegistry", "Fault", "Recorded", "StoredManifest", "digest_of"]

AuthMode: TypeAlias = Literal["none", "basic", "bearer"]

INDEX = "application/vnd.oci.image.index.v1+json"
_NAME = r"(?P<name>[a-z0-9._/-]+)"


@dataclass(frozen=True, slots=True)
class StoredManifest:
    """A manifest's bytes and the media type that it was pushed as."""

    media_type: str
    raw: bytes


Key: TypeAlias = tuple[str, str]
"""Repository name, and a digest or a tag."""


class FakeRegistry:
    """A registry on a loopback port while it is entered.

    Attributes:
        blobs: content by repository and digest.
        manifests: by repository and digest.
        tags: digests by repository and tag.
        requests: everything that was asked for, in order.
        faults: what goes wrong; change it at any time.
        unreadable: repositories that the token service lets nobody read.
        before_answer: called with each request and the answer that is about to be sent.
        tokens: the tokens given out that are still good.
    """

    def __init__(
        self,
        *,
        referrers_api: bool = True,
        oci_subject: bool | None = None,
        page_size: int = 1000,
        auth: AuthMode = "none",
        username: str = "user",
        password: str = "secret",
        realm: str = "",
        token_life: int = 300,
        may_push: bool = True,
        faults: list[Fault] | None = None,
        tls: ssl.SSLContext | None = None,
        ways: Ways = AS_SPECIFIED,
    ) -> None:
        """Describe the registry; it starts when it is entered.

        Args:
            referrers_api: serve `/referrers/`, and say so with `OCI-Subject`.
            oci_subject: send `OCI-Subject` or not; None for as `referrers_api` says.
            page_size: entries of a page of tags or referrers.
            auth: who may come in. `bearer` has its token service at `/token`.
            username: for both kinds of authentication.
            password: for both kinds of authentication, or the identity token.
            realm: the token service that is named instead of our own.
            token_life: seconds, as the token service says.
            may_push: whether the token service gives tokens that may write.
            faults: what goes wrong from the start.
            tls: speak HTTPS with this certificate.
            ways: in what uploads differ from the specification.
        """
        self.ways = ways
        self.referrers_api = referrers_api
        self.oci_subject = referrers_api if oci_subject is None else oci_subject
        self.page_size = page_size
        self.auth = auth
        self.username = username
        self.password = password
        self.realm = realm
        self.token_life = token_life
        self.may_push = may_push
        self.faults = faults or []
        self.before_answer: Callable[[Recorded, Answer], None] = lambda _request, _answer: None
        self.blobs: dict[Key, bytes] = {}
        self.manifests: dict[Key, StoredManifest] = {}
        self.tags: dict[Key, str] = {}
        self.uploads: dict[str, bytes] = {}
        self.requests: list[Recorded] = []
        self.tokens: dict[str, str] = {}
        self.unreadable: set[str] = set()
        self._tls = tls
        self._lock = threading.RLock()
        self._server: Server | None = None

    def __enter__(self) -> Self:
        self._server = Server(self.served, self._early)
        if self._tls is not None:
            self._server.socket = self._tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()

    @property
    def taken(self) -> int:
        """Bytes of bodies that came so far, also of those that are still coming."""
        assert self._server is not None
        return self._server.taken

    @property
    def busy(self) -> int:
        """Requests that are being served just now."""
        assert self._server is not None
        return self._server.busy

    def on_tick(self, call: Callable[[], None]) -> None:
        """Have `call` called with each request, and with each 64 KiB that move; one at a time."""
        assert self._server is not None
        self._server.on_tick = call

    @property
    def host(self) -> str:
        """`127.0.0.1:PORT`, the first part of references."""
        assert self._server is not None
        return f"127.0.0.1:{self._server.server_address[1]}"

    @property
    def url(self) -> str:
        """Where it speaks HTTP, without a path."""
        return f"{'http' if self._tls is None else 'https'}://{self.host}"

    def asked(self, method: str = "", path: str = "") -> list[Recorded]:
        """Return the requests with this method, and `path` (a regular expression) in theirs."""
        return [
            request
            for request in list(self.requests)
            if method in {"", request.method} and re.search(path, request.path)
        ]

    def put_manifest(self, name: str, raw: bytes, media_type: str, *, tag: str = "") -> str:
        """Put a manifest into the storage, unchecked; return its digest."""
        digest = digest_of(raw)
        self.manifests[name, digest] = StoredManifest(media_type, raw)
        if tag:
            self.tags[name, tag] = digest
        return digest

    def put_referrers(self, name: str, subject: str, entries: list[object]) -> None:
        """Put a fallback index into the storage, with whatever entries."""
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}
        raw = json.dumps(index).encode()
        self.put_manifest(name, raw, INDEX, tag=subject.replace(":", "-"))

    def _early(self, request: Recorded) -> Answer | Intake:
        """Say what happens before a body is read: some are refused, or broken off."""
        length = int(request.headers.get("content-length", "0"))
        refused = self.ways.refused(request.method, length)
        if refused is not None:
            with self._lock:
                self.requests.append(request)
            return problem(*refused)
        with self._lock:
            faults = [fault for fault in self.faults if fault.early]
            found = next((fault for fault in faults if fault.matches(request)), Fault())
        return Intake(most=found.cut_request, rate=found.intake)

    def served(self, request: Recorded, body: bytes) -> Answer:
        """Answer one request as a registry does, then spoil the answer as tests ask for."""
        with self._lock:
            self.requests.append(request)
            faults = [fault for fault in self.faults if not fault.early and fault.matches(request)]
            forced = next((fault for fault in faults if fault.status), None)
            if forced is not None:
                answer = Answer(status=forced.status)
            else:
                answer = self._route(request, body)
            for fault in faults:
                fault.apply(answer)
            self.before_answer(request, answer)
        for fault in faults:
            time.sleep(fault.delay)
        return answer

    def _route(self, request: Recorded, body: bytes) -> Answer:
        parts = urlsplit(request.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if parts.path == "/token":
            return self._token(request, body)
        if (refused := self._refused(request, parts.path)) is not None:
            return refused
        for pattern, handler in _ROUTES:
            match = re.fullmatch(pattern, parts.path)
            if match is not None:
                return handler(self, request, match.groupdict(), query, body)
        return problem(404, "UNKNOWN", "no such endpoint")

    # Authentication

    def _refused(self, request: Recorded, path: str) -> Answer | None:
        scheme, _, value = request.authorization.partition(" ")
        if self.auth == "none":
            return None
        if self.auth == "basic":
            if scheme == "Basic" and value == self._basic():
                return None
            challenge = 'Basic realm="fake registry"'
        else:
            needed = "pull" if request.method in {"GET", "HEAD"} else "push"
            match = re.match(rf"/v2/{_NAME}/(?:blobs|manifests|tags|referrers)/", path)
            repository = match["name"] if match else ""
            if not repository and value in self.tokens:
                return None  # `/v2/` wants to know who, and not what for
            wanted = {(repository, needed)}
            source = parse_qs(urlsplit(request.path).query).get("from", [])
            wanted.update((name, "pull") for name in source)
            if wanted <= self._granted(value if scheme == "Bearer" else ""):
                return None
            realm = self.realm or f"{self.url}/token"
            challenge = (
                f'Bearer realm="{realm}",service="fake",scope="repository:{repository}:{needed}"'
            )
        answer = problem(401, "UNAUTHORIZED", "authentication required")
        answer.headers["WWW-Authenticate"] = challenge
        return answer

    def _granted(self, token: str) -> set[tuple[str, str]]:
        """Return the repositories and actions that a token is good for."""
        scopes = [scope.split(":") for scope in self.tokens.get(token, "").split()]
        return {(name, action) for _, name, actions in scopes for action in actions.split(",")}

    def _basic(self) -> str:
        return base64.b64encode(f"{self.username}:{self.password}".encode()).decode()

    def _token(self, request: Recorded, body: bytes) -> Answer:
        if request.method == "POST":
            form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
            known = form.get("refresh_token") == self.password
            scope = form.get("scope", "")
        else:
            known = request.authorization == f"Basic {self._basic()}"
            scope = " ".join(parse_qs(urlsplit(request.path).query).get("scope", []))
        if not known:
            return problem(401, "UNAUTHORIZED", "who are you?")
        if not self.may_push:
            scope = scope.replace("pull,push", "pull")
        scope = " ".join(one for one in scope.split() if one.split(":")[1] not in self.unreadable)
        token = uuid.uuid4().hex
        self.tokens[token] = scope
        return _json(200, {"token": token, "expires_in": self.token_life})

    # Blobs

    def _blob(
        self, request: Recorded, names: dict[str, str], _query: dict[str, str], _body: bytes
    ) -> Answer:
        data = self.blobs.get((names["name"], names["digest"]))
        if request.method not in {"GET", "HEAD"}:
            return problem(405, "UNSUPPORTED", request.method)
        if data is None:
            return problem(404, "BLOB_UNKNOWN", "blob unknown to registry")
        headers = {
            "Content-Type": "application/octet-stream",
            "Docker-Content-Digest": names["digest"],
        }
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("range", ""))
        if wanted is None:
            return Answer(status=200, headers=headers, body=data)
        first = int(wanted[1])
        last = min(int(wanted[2] or len(data) - 1), len(data) - 1)
        if first > last:
            return problem(416, "RANGE", "not satisfiable")
        headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
        return Answer(status=206, headers=headers, body=data[first : last + 1])

    def _start_upload(
        self, request: Recorded, names: dict[str, str], query: dict[str, str], body: bytes
    ) -> Answer:
        name = names["name"]
        if request.method != "POST":
            return problem(405, "UNSUPPORTED", request.method)
        mounted = self.blobs.get((query.get("from", ""), query.get("mount", "")))
        if mounted is not None:
            self.blobs[name, query["mount"]] = mounted
            return _created(f"/v2/{name}/blobs/{query['mount']}", query["mount"])
        session = uuid.uuid4().hex
        self.uploads[session] = b""
        if "digest" in query:
            return self._finish(name, session, query["digest"], body)
        return self._session_answer(name, session, 202)

    def _upload(
        self, request: Recorded, names: dict[str, str], query: dict[str, str], body: bytes
    ) -> Answer:
        name, session = names["name"], names["session"]
        lost = request.method == "GET" and not self.ways.tells_status
        if session not in self.uploads or lost:
            return problem(404, "BLOB_UPLOAD_UNKNOWN", "upload unknown to registry")
        if request.method == "GET":
            return self._session_answer(name, session, 204)
        if request.method == "DELETE":
            del self.uploads[session]
            return Answer(status=204)
        if len(body) < int(request.headers.get("content-length", "0")):
            self.uploads[session] += body if self.ways.keeps_broken else b""
            return problem(400, "SIZE_INVALID", "the body broke off")
        if request.method == "PATCH":
            return self._take_part(request, name, session, body)
        return self._finish(name, session, query.get("digest", ""), body)

    def _take_part(self, request: Recorded, name: str, session: str, body: bytes) -> Answer:
        start = request.headers.get("content-range", "").partition("-")[0]
        if start and int(start) != len(self.uploads[session]):
            return self._session_answer(name, session, 416)
        self.uploads[session] += body
        return self._session_answer(name, session, self.ways.after_patch)

    def _session_answer(self, name: str, session: str, status: int) -> Answer:
        least = {"OCI-Chunk-Min-Length": str(self.ways.least)} if self.ways.least else {}
        headers = {
            **least,
            "Location": f"/v2/{name}/blobs/uploads/{session}?_state=opaque%2Fstate",
            "Range": f"0-{max(0, len(self.uploads[session]) - 1)}",
            "Docker-Upload-UUID": session,
        }
        return Answer(status=status, headers=headers)

    def _finish(self, name: str, session: str, digest: str, body: bytes) -> Answer:
        data = self.uploads.pop(session) + body
        if digest_of(data, digest.partition(":")[0]) != digest:
            return problem(400, "DIGEST_INVALID", "provided digest did not match uploaded content")
        self.blobs[name, digest] = data
        return _created(f"/v2/{name}/blobs/{digest}", digest)

    # Manifests, tags and referrers

    def _manifest(
        self, request: Recorded, names: dict[str, str], _query: dict[str, str], body: bytes
    ) -> Answer:
        name, reference = names["name"], names["reference"]
        if request.method == "PUT":
            return self._put(name, reference, request.headers.get("content-type", ""), body)
        digest = reference if ":" in reference else self.tags.get((name, reference), "")
        stored = self.manifests.get((name, digest))
        if stored is None:
            return problem(404, "MANIFEST_UNKNOWN", "manifest unknown")
        if request.method == "DELETE":
            del self.manifests[name, digest]
            return Answer(status=202)
        headers = {"Content-Type": stored.media_type, "Docker-Content-Digest": digest}
        return Answer(status=200, headers=headers, body=stored.raw)

    def _put(self, name: str, reference: str, media_type: str, raw: bytes) -> Answer:
        algorithm = reference.partition(":")[0] if ":" in reference else "sha256"
        digest = digest_of(raw, algorithm)
        if ":" in reference and digest != reference:
            return problem(400, "DIGEST_INVALID", "digest does not match manifest")
        try:
            content = json.loads(raw)
        except ValueError:
            return problem(400, "MANIFEST_INVALID", "not JSON")
        for item in [content.get("config"), *content.get("layers", [])]:
            if item is not None and (name, item["digest"]) not in self.blobs:
                return problem(400, "MANIFEST_BLOB_UNKNOWN", f"blob unknown: {item['digest']}")
        self.manifests[name, digest] = StoredManifest(media_type, raw)
        if ":" not in reference:
            self.tags[name, reference] = digest
        answer = _created(f"/v2/{name}/manifests/{digest}", digest)
        if content.get("subject") and self.oci_subject:
            answer.headers["OCI-Subject"] = content["subject"]["digest"]
        return answer

    def _tag_list(
        self, _request: Recorded, names: dict[str, str], query: dict[str, str], _body: bytes
    ) -> Answer:
        name = names["name"]
        found = sorted(tag for repository, tag in self.tags if repository == name)
        if not found and not any(repository == name for repository, _ in self.manifests):
            return problem(404, "NAME_UNKNOWN", "repository name not known to registry")
        found = [tag for tag in found if tag > query.get("last", "")]
        page = found[: min(int(query.get("n", self.page_size)), self.page_size)]
        answer = _json(200, {"name": name, "tags": page})
        if len(page) < len(found):
            last = f"/v2/{name}/tags/list?last={page[-1]}&n={len(page)}"
            answer.headers["Link"] = f'<{last}>; rel="next"'
        return answer

    def _referrers(
        self, _request: Recorded, names: dict[str, str], query: dict[str, str], _body: bytes
    ) -> Answer:
        if not self.referrers_api:
            return Answer(
                status=404, headers={"Content-Type": "text/plain"}, body=b"404 page not found\n"
            )
        name = names["name"]
        found = [
            entry
            for (repository, digest), stored in self.manifests.items()
            if repository == name
            and (entry := _referrer(stored, digest, names["digest"])) is not None
        ]
        start = int(query.get("start", "0"))
        page = found[start : start + self.page_size]
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": page}
        answer = Answer(status=200, headers={"Content-Type": INDEX}, body=_dump(index))
        if start + len(page) < len(found):
            following = f"/v2/{name}/referrers/{names['digest']}?start={start + len(page)}"
            answer.headers["Link"] = f'<{following}>; rel="next"'
        return answer

    def _base(
        self, _request: Recorded, _names: dict[str, str], _query: dict[str, str], _body: bytes
    ) -> Answer:
        return _json(200, {})


_ROUTES: list[
    tuple[str, Callable[[FakeRegistry, Recorded, dict[str, str], dict[str, str], bytes], Answer]]
] = [
    (r"/v2/", FakeRegistry._base),
    (rf"/v2/{_NAME}/blobs/uploads/", FakeRegistry._start_upload),
    (rf"/v2/{_NAME}/blobs/uploads/(?P<session>[0-9a-f]+)", FakeRegistry._upload),
    (rf"/v2/{_NAME}/blobs/(?P<digest>[a-z0-9]+:[0-9a-f]+)", FakeRegistry._blob),
    (rf"/v2/{_NAME}/manifests/(?P<reference>[A-Za-z0-9._:-]+)", FakeRegistry._manifest),
    (rf"/v2/{_NAME}/tags/list", FakeRegistry._tag_list),
    (rf"/v2/{_NAME}/referrers/(?P<digest>[a-z0-9]+:[0-9a-f]+)", FakeRegistry._referrers),
]


def digest_of(data: bytes, algorithm: str = "sha256") -> str:
    """Return the digest of bytes."""
    if algorithm not in {"sha256", "sha512"}:
        return ""
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


def problem(status: int, code: str, message: str) -> Answer:
    """Return an answer that says no, as the distribution specification has it."""
    return _json(status, {"errors": [{"code": code, "message": message, "detail": {}}]})


def _json(status: int, value: object) -> Answer:
    headers = {"Content-Type": "application/json; charset=utf-8"}
    return Answer(status=status, headers=headers, body=_dump(value))


def _dump(value: object) -> bytes:
    return json.dumps(value).encode()


def _created(location: str, digest: str) -> Answer:
    return Answer(status=201, headers={"Location": location, "Docker-Content-Digest": digest})


def _referrer(stored: StoredManifest, digest: str, subject: str) -> dict[str, object] | None:
    try:
        content = json.loads(stored.raw)
    except ValueError:
        return None
    if (content.get("subject") or {}).get("digest") != subject:
        return None
    entry = {
        "mediaType": stored.media_type,
        "digest": digest,
        "size": len(stored.raw),
        "artifactType": content.get("artifactType")
        or (content.get("config") or {}).get("mediaType"),
    }
    if content.get("annotations"):
        entry["annotations"] = content["annotations"]
    return entry
