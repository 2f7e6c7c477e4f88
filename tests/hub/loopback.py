"""A Hub on 127.0.0.1 for the real `huggingface_hub` client: repositories, commits, pull requests, comments, faults.

Rule of the room: it answers what the client of 2.4 asks for in the calls that this project makes, in the shapes that
the client reads; everything else is 404 and listed in `LoopbackHub.unserved`. Repositories live in memory. Left out:
Xet (run with `HF_HUB_DISABLE_XET=1`), multipart LFS, LFS redirects to another host, `.gitignore`, gating, quotas,
buckets, jobs and webhooks.

Two people have tokens: `OWNER` owns the namespaces `ORG` and its own; `GUEST` may read, open pull requests and comment.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import re
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
import yaml

ORG = "the-lab"
OWNER = "keeper"
GUEST = "visitor"
OWNER_TOKEN = "hf_keeper"  # noqa: S105 - of a stand-in
GUEST_TOKEN = "hf_visitor"  # noqa: S105 - of a stand-in

LFS_SUFFIXES = (".parquet", ".bin", ".safetensors", ".tar", ".zip", ".whl", ".png", ".jpg", ".npz")
LFS_BYTES = 10 << 20
"""Files of these kinds, and files this large, are LFS: the Hub's default `.gitattributes` and limit."""

COMMENT_CHARACTERS = 65_536
"""Longest comment taken; the Hub's own limit is not documented."""

_PREFIXES = {"models": "model", "datasets": "dataset", "spaces": "space"}


class Blob(NamedTuple):
    """The content of a file."""

    data: bytes
    is_lfs: bool

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    @property
    def pointer(self) -> bytes:
        text = f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.sha256}\nsize {len(self.data)}\n"
        return text.encode()

    @property
    def oid(self) -> str:
        """Git's id of what lies in the tree: the content, or the LFS pointer."""
        stored = self.pointer if self.is_lfs else self.data
        return hashlib.sha1(b"blob %d\0" % len(stored) + stored, usedforsecurity=False).hexdigest()


class Commit(NamedTuple):
    """One commit and the whole tree it leaves."""

    oid: str
    parents: tuple[str, ...]
    tree: Mapping[str, Blob]
    title: str
    description: str
    author: str
    date: str


@dataclass
class Thread:
    """A discussion, or a pull request where `base` is set."""

    num: int
    title: str
    author: str
    date: str
    status: str
    base: str | None = None
    """Commit of `main` that a pull request starts from."""
    merge_commit: str | None = None
    events: list[dict[str, Any]] = field(default_factory=list)

    @property
    def comments(self) -> list[str]:
        """Texts of the comments as they are now; the first is the description."""
        return [event["data"]["latest"]["raw"] for event in self.events if event["type"] == "comment"]


class Repository:
    """A repository: refs, commits, threads; for a Space also variables and secrets."""

    def __init__(self, kind: str, repo_id: str, *, is_private: bool, author: str, sdk: str | None = None) -> None:
        self.kind = kind
        self.repo_id = repo_id
        self.is_private = is_private
        self.gated: str | bool = False
        self.sdk = sdk
        self.commits: dict[str, Commit] = {}
        self.refs: dict[str, str] = {}
        self.threads: list[Thread] = []
        self.variables: dict[str, dict[str, str]] = {}
        self.secrets: dict[str, str] = {}
        self.lfs: dict[str, bytes] = {}
        """Uploaded contents by SHA-256, committed or not."""
        self.commit({".gitattributes": Blob(b"*.parquet filter=lfs\n", False)}, "main", (), "initial commit", author)

    def commit(
        self,
        tree: Mapping[str, Blob],
        ref: str,
        parents: tuple[str, ...],
        title: str,
        author: str,
        description: str = "",
    ) -> Commit:
        """Write a commit and move `ref` to it."""
        date = _now(len(self.commits))
        content = json.dumps([{path: blob.oid for path, blob in sorted(tree.items())}, parents, title, author, date])
        oid = hashlib.sha1(content.encode(), usedforsecurity=False).hexdigest()
        commit = Commit(oid, parents, dict(tree), title, description, author, date)
        self.commits[oid] = commit
        self.refs[ref] = oid
        return commit

    def find(self, revision: str) -> Commit | None:
        """Find a commit by branch, tag, `refs/pr/N` or its own id."""
        name = revision.removeprefix("refs/heads/").removeprefix("refs/tags/")
        oid = self.refs.get(name, name)
        return self.commits.get(oid)

    @property
    def head(self) -> Commit:
        return self.commits[self.refs["main"]]

    @property
    def history(self) -> list[Commit]:
        """Commits of `main`, newest first."""
        return self.log("main")

    def log(self, revision: str) -> list[Commit]:
        """Commits that a revision holds, newest first, as `git log` shows them."""
        start = self.find(revision)
        found: dict[str, Commit] = {}
        left = [] if start is None else [start]
        while left:
            commit = left.pop()
            if commit.oid not in found:
                found[commit.oid] = commit
                left += [self.commits[oid] for oid in commit.parents]
        order = {oid: number for number, oid in enumerate(self.commits)}
        return sorted(found.values(), key=lambda commit: -order[commit.oid])

    def files(self, revision: str = "main") -> dict[str, bytes]:
        """Contents by path at a revision, without `.gitattributes`."""
        commit = self.find(revision)
        assert commit is not None, f"{self.repo_id} has no revision {revision!r}"
        return {path: blob.data for path, blob in commit.tree.items() if path != ".gitattributes"}

    def write(self, files: Mapping[str, bytes | str | None], message: str = "by hand", ref: str = "main") -> Commit:
        """Commit files past the client, None deletes: another writer, or what a git push can hold."""
        commit = self.find(ref) or self.head
        tree = dict(commit.tree)
        for path, data in files.items():
            if data is None:
                tree.pop(path, None)
            else:
                raw = data.encode() if isinstance(data, str) else data
                tree[path] = Blob(raw, path.endswith(LFS_SUFFIXES))
        return self.commit(tree, ref, (commit.oid,), message, OWNER)

    def open_pull_request(
        self, files: Mapping[str, bytes | str | None], title: str = "A change", author: str = GUEST
    ) -> int:
        """Open a pull request past the client and return its number."""
        thread = _open_thread(self, title, "", author, base=self.head.oid, status="open")
        self.refs[f"refs/pr/{thread.num}"] = self.head.oid
        self.write(files, title, f"refs/pr/{thread.num}")
        return thread.num


class Call(NamedTuple):
    """One request as it was answered."""

    method: str
    path: str
    query: dict[str, list[str]]
    user: str | None
    status: int
    """0: the connection was closed without an answer."""
    n_bytes: int
    """Bytes of the request's body."""


@dataclass
class Fault:
    """What goes wrong with requests whose path matches, and how often still."""

    pattern: re.Pattern[str]
    status: int
    times: int
    method: str | None
    headers: Mapping[str, str]
    is_landed: bool
    delay_seconds: float
    skip: int
    message: str


@dataclass
class Answer:
    """What a route returns."""

    status: int = 200
    body: Any = None
    """Bytes as they are; everything else as JSON."""
    headers: Mapping[str, str] = field(default_factory=dict)


class _RefusedError(Exception):
    """A request that is answered with an error."""

    def __init__(self, status: int, code: str | None, message: str) -> None:
        super().__init__(message)
        headers = {"X-Error-Message": message} | ({"X-Error-Code": code} if code else {})
        self.answer = Answer(status, {"error": message}, headers)


_started = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def _now(step: int = 0) -> str:
    """Tell a time that moves with the number of things there are, so that two runs give the same ids."""
    return (_started + timedelta(seconds=step)).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def _comment(author: str, text: str, number: int) -> dict[str, Any]:
    latest = {"raw": text, "html": "", "updatedAt": _now(number), "author": {"name": author}}
    event_id = hashlib.sha1(f"{author}{number}{text}".encode(), usedforsecurity=False).hexdigest()[:24]
    return {
        "id": event_id,
        "type": "comment",
        "author": {"name": author, "type": "user"},
        "createdAt": _now(number),
        "data": {"edited": False, "hidden": False, "latest": latest, "history": [dict(latest)]},
    }


def _open_thread(
    repo: Repository, title: str, description: str, author: str, *, base: str | None, status: str
) -> Thread:
    thread = Thread(len(repo.threads) + 1, title, author, _now(len(repo.threads)), status, base)
    thread.events.append(_comment(author, description, 0))
    repo.threads.append(thread)
    return thread


def _note_commit(thread: Thread, commit: Commit) -> None:
    data = {"subject": commit.title, "oid": commit.oid}
    event = {"id": commit.oid[:24], "type": "commit", "createdAt": commit.date, "data": data}
    thread.events.append({**event, "author": {"name": commit.author}})


def _set_status(thread: Thread, author: str, status: str) -> dict[str, Any]:
    thread.status = status
    number = len(thread.events)
    event = {
        "id": f"{number:024x}",
        "type": "status-change",
        "author": {"name": author},
        "createdAt": _now(number),
        "data": {"status": status},
    }
    thread.events.append(event)
    return event


def _rename(thread: Thread, author: str, asked: Mapping[str, str]) -> dict[str, Any]:
    number = len(thread.events)
    event = {
        "id": f"{number:024x}",
        "type": "title-change",
        "author": {"name": author},
        "createdAt": _now(number),
        "data": {"from": thread.title, "to": asked["title"]},
    }
    thread.title = asked["title"]
    thread.events.append(event)
    return event


class LoopbackHub:
    """The Hub, and what a test reads and sets of it."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.tokens = {OWNER_TOKEN: OWNER, GUEST_TOKEN: GUEST}
        self.organisations = {OWNER: (ORG,), GUEST: ()}
        self.repositories: dict[tuple[str, str], Repository] = {}
        self.requests: list[Call] = []
        self.faults: list[Fault] = []
        self.page_size = 1000
        """Entries of a page of a tree, and discussions of a list."""
        self.endpoint = ""

    # --- for tests ---

    @property
    def api(self) -> Any:
        """A real `HfApi` that signs as the owner."""
        return self.api_as(OWNER_TOKEN)

    def api_as(self, token: str | bool | None) -> Any:
        """A real `HfApi` that signs with a token; False: with none."""
        from huggingface_hub import HfApi

        return HfApi(endpoint=self.endpoint, token=token)

    def repo(self, repo_id: str = f"{ORG}/store", kind: str = "dataset", *, is_private: bool = False) -> Repository:
        """Return a repository; made where it is not there."""
        with self.lock:
            key = (kind, repo_id)
            if key not in self.repositories:
                self.repositories[key] = Repository(kind, repo_id, is_private=is_private, author=OWNER)
            return self.repositories[key]

    def fail(
        self,
        path: str,
        status: int = 500,
        *,
        times: int = 1,
        method: str | None = None,
        headers: Mapping[str, str] | None = None,
        landed: bool = False,
        delay_seconds: float = 0.0,
        skip: int = 0,
        message: str = "a fault of the test",
    ) -> Fault:
        """Answer the next requests whose path matches otherwise.

        Args:
            path: Regular expression, searched in the decoded path.
            status: 0 closes the connection without an answer; 200 with `delay_seconds` only delays.
            times: How many requests; -1 for all.
            landed: Do the work first, as a gateway does that gave up waiting.
            skip: Let so many matching requests through first.
        """
        fault = Fault(
            re.compile(path), status, times, method, dict(headers or {}), landed, delay_seconds, skip, message
        )
        self.faults.append(fault)
        return fault

    def calls(self, method: str | None = None, path: str = "") -> list[Call]:
        """List the requests so far, by method and a regular expression searched in the path."""
        return [c for c in self.requests if (method is None or c.method == method) and re.search(path, c.path)]

    @property
    def unserved(self) -> list[str]:
        """Requests for which this stand-in has no route: what it lacks."""
        return [f"{call.method} {call.path}" for call in self.requests if call.status == 599]

    def environment(self, home: Path, token: str | None = OWNER_TOKEN) -> dict[str, str]:
        """The environment of a process that talks to this Hub; `datasets` and the client read it at import."""
        dropped = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE")
        kept = {name: value for name, value in os.environ.items() if name not in dropped}
        signed = {"HF_TOKEN": token} if token else {}
        return {
            **kept,
            **signed,
            "HF_ENDPOINT": self.endpoint,
            "HF_HOME": str(home),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "HF_HUB_DISABLE_IMPLICIT_TOKEN": "0",
        }

    # --- who may do what ---

    def user_of(self, authorization: str | None) -> str | None:
        """Name who signs a request.

        Raises:
            _RefusedError: If the token is nobody's.
        """
        if authorization is None:
            return None
        user = self.tokens.get(authorization.removeprefix("Bearer "))
        if user is None:
            raise _RefusedError(401, None, "Invalid credentials in Authorization header")
        return user

    def may_write(self, user: str, namespace: str) -> bool:
        return namespace == user or namespace in self.organisations.get(user, ())

    def open(self, kind: str, repo_id: str, user: str | None) -> Repository:
        repo = self.repositories.get((kind, repo_id))
        hidden = repo is None or (repo.is_private and (user is None or not self.may_write(user, repo_id.split("/")[0])))
        if repo is None or hidden:
            if user is None:
                raise _RefusedError(401, "RepoNotFound", "Invalid username or password.")
            raise _RefusedError(404, "RepoNotFound", "Repository not found")
        return repo


# --- routes ----------------------------------------------------------------------------------------------------


@dataclass
class _Request:
    hub: LoopbackHub
    method: str
    path: str
    query: dict[str, list[str]]
    body: bytes
    headers: Mapping[str, str]
    user: str | None

    @property
    def json(self) -> Any:
        return json.loads(self.body or b"null")

    def first(self, name: str) -> str:
        return self.query.get(name, [""])[0]

    def is_set(self, name: str) -> bool:
        return self.first(name).lower() in ("1", "true")

    def signed(self) -> str:
        if self.user is None:
            raise _RefusedError(401, None, "Invalid username or password.")
        return self.user


def _route(request: _Request) -> Answer:
    """Find what answers a request. Segments of the raw path are decoded one by one: `refs%2Fpr%2F1` is one."""
    raw = request.path.strip("/").split("/")
    parts = [unquote(part) for part in raw]
    match parts:
        case ["api", "whoami-v2"]:
            return _whoami(request)
        case ["api", "validate-yaml"]:
            return _validate_yaml(request)
        case ["api", "repos", "create"]:
            return _create_repo(request)
        case ["api", "repos", "delete"]:
            return _delete_repo(request)
        case ["api", kinds, owner, name, *rest] if kinds in _PREFIXES:
            repo = request.hub.open(_PREFIXES[kinds], f"{owner}/{name}", request.user)
            return _repo_route(request, repo, rest)
        case ["lfs-upload", kind, owner, name, oid]:
            return _take_lfs(request, request.hub.repo(f"{owner}/{name}", kind), oid)
        case ["lfs-verify", kind, owner, name]:
            request.signed()
            asked = request.json
            data = request.hub.repo(f"{owner}/{name}", kind).lfs.get(asked["oid"])
            return Answer(200 if data is not None and len(data) == asked["size"] else 422, {})
        case [*_, "info", "lfs", "objects", "batch"]:
            kind, repo_id = _of_url(parts[:-4])
            return _lfs_batch(request, request.hub.open(kind, repo_id.removesuffix(".git"), request.user))
        case [*_] if "resolve" in parts[2:4]:
            at = parts.index("resolve", 2)
            kind, repo_id = _of_url(parts[:at])
            repo = request.hub.open(kind, repo_id, request.user)
            return _resolve(request, repo, parts[at + 1], "/".join(parts[at + 2 :]))
    return Answer(599, {"error": "the loopback Hub has no such route"})


def _of_url(parts: list[str]) -> tuple[str, str]:
    if parts[0] in ("datasets", "spaces"):
        return _PREFIXES[parts[0]], "/".join(parts[1:3])
    return "model", "/".join(parts[:2])


def _repo_route(request: _Request, repo: Repository, rest: list[str]) -> Answer:
    match (request.method, *rest):
        case ("GET",):
            return _info(request, repo, "main")
        case ("GET", "revision", revision):
            return _info(request, repo, revision)
        case ("GET", "tree", revision, *path):
            return _tree(request, repo, revision, "/".join(path))
        case ("POST", "paths-info", revision):
            return _paths_info(request, repo, revision)
        case ("GET", "refs"):
            return _refs(request, repo)
        case ("GET", "commits", revision):
            return _commits(request, repo, revision)
        case ("POST", "preupload", revision):
            return _preupload(request, repo, revision)
        case ("POST", "commit", revision):
            return _commit(request, repo, revision)
        case ("GET", "discussions"):
            return _threads(request, repo)
        case ("POST", "discussions"):
            return _new_thread(request, repo)
        case ("GET", "discussions", num):
            return Answer(body=_details(_thread(repo, num), repo))
        case ("POST", "discussions", num, "comment"):
            return _add_comment(request, _thread(repo, num))
        case ("POST", "discussions", num, "comment", comment_id, "edit"):
            return _edit_comment(request, repo, _thread(repo, num), comment_id)
        case ("POST", "discussions", num, "status"):
            return _change_status(request, repo, _thread(repo, num))
        case ("POST", "discussions", num, "title"):
            thread = _thread(repo, num)
            return Answer(body={"newTitle": _rename(thread, _writer_or(request, repo, thread.author), request.json)})
        case ("POST", "discussions", num, "merge"):
            return _merge(request, repo, _thread(repo, num))
        case ("PUT", "settings"):
            _writer(request, repo)
            repo.is_private = request.json.get("visibility", "public") == "private"
            repo.gated = request.json.get("gated", repo.gated)
            return Answer(body={})
        case (_, "variables"):
            return _variables(request, repo)
        case ("POST", "secrets"):
            _writer(request, repo)
            repo.secrets[request.json["key"]] = request.json["value"]
            return Answer(body={})
        case ("GET", "secrets"):
            _writer(request, repo)
            return Answer(body={key: {"key": key, "updatedAt": _now()} for key in repo.secrets})
        case ("POST", "branch" | "tag", name):
            _writer(request, repo)
            start = _revision(repo, request.json.get("startingPoint") or "main") if rest[0] == "branch" else None
            repo.refs[request.json["tag"] if start is None else name] = (start or _revision(repo, name)).oid
            return Answer(body={})
    return Answer(599, {"error": "the loopback Hub has no such route"})


def _writer(request: _Request, repo: Repository) -> str:
    user = request.signed()
    if not request.hub.may_write(user, repo.repo_id.split("/")[0]):
        raise _RefusedError(403, None, f"You don't have the rights to write to {repo.repo_id}")
    return user


def _writer_or(request: _Request, repo: Repository, author: str) -> str:
    return author if request.user == author else _writer(request, repo)


def _revision(repo: Repository, revision: str) -> Commit:
    commit = repo.find(revision)
    if commit is None:
        raise _RefusedError(404, "RevisionNotFound", f"Invalid rev id: {revision}")
    return commit


def _whoami(request: _Request) -> Answer:
    user = request.signed()
    organisations = [{"type": "org", "name": name, "roleInOrg": "admin"} for name in request.hub.organisations[user]]
    token = {"displayName": "test", "role": "write"}
    return Answer(body={"type": "user", "name": user, "orgs": organisations, "auth": {"accessToken": token}})


def _validate_yaml(request: _Request) -> Answer:
    found = re.match(r"---\n(.*?)\n---", request.json["content"], re.DOTALL)
    try:
        yaml.safe_load(found[1] if found else "")
    except yaml.YAMLError as error:
        return Answer(400, {"errors": [{"message": str(error)}], "warnings": []})
    return Answer(body={"errors": [], "warnings": []})


def _create_repo(request: _Request) -> Answer:
    user = request.signed()
    asked = request.json
    kind = asked.get("type", "model")
    namespace = asked.get("organization") or user
    repo_id = f"{namespace}/{asked['name']}"
    if not request.hub.may_write(user, namespace):
        raise _RefusedError(
            403, None, f"You don't have the rights to create a {kind} under the namespace {namespace!r}"
        )
    prefix = "" if kind == "model" else f"{kind}s/"
    body = {"url": f"{request.hub.endpoint}/{prefix}{repo_id}", "name": repo_id}
    if (kind, repo_id) in request.hub.repositories:
        return Answer(409, {**body, "error": "You already created this repo"})
    is_private = asked.get("visibility") == "private" or asked.get("private") is True
    repo = Repository(kind, repo_id, is_private=is_private, author=user, sdk=asked.get("sdk"))
    for variable in asked.get("variables") or []:
        repo.variables[variable["key"]] = {"value": variable["value"], "description": variable.get("description", "")}
    for secret in asked.get("secrets") or []:
        repo.secrets[secret["key"]] = secret["value"]
    request.hub.repositories[kind, repo_id] = repo
    return Answer(body=body)


def _delete_repo(request: _Request) -> Answer:
    asked = request.json
    repo_id = f"{asked.get('organization') or request.signed()}/{asked['name']}"
    repo = request.hub.open(asked.get("type", "model"), repo_id, request.user)
    _writer(request, repo)
    del request.hub.repositories[repo.kind, repo_id]
    return Answer(body={})


def _info(request: _Request, repo: Repository, revision: str) -> Answer:
    commit = _revision(repo, revision)
    siblings = []
    for path, blob in sorted(commit.tree.items()):
        entry: dict[str, Any] = {"rfilename": path}
        if request.is_set("blobs"):
            entry |= {"size": len(blob.data), "blobId": blob.oid}
            if blob.is_lfs:
                entry["lfs"] = {"sha256": blob.sha256, "size": len(blob.data), "pointerSize": len(blob.pointer)}
        siblings.append(entry)
    body: dict[str, Any] = {
        "_id": hashlib.md5(repo.repo_id.encode(), usedforsecurity=False).hexdigest()[:24],
        "id": repo.repo_id,
        "author": repo.repo_id.split("/")[0],
        "sha": commit.oid,
        "createdAt": _now(),
        "lastModified": commit.date,
        "private": repo.is_private,
        "gated": repo.gated,
        "disabled": False,
        "downloads": 0,
        "likes": 0,
        "tags": [],
        "siblings": siblings,
    }
    if repo.kind == "model":
        body["modelId"] = repo.repo_id
    if repo.kind == "space":
        body["sdk"] = repo.sdk
    if wanted := request.query.get("expand"):
        body = {key: value for key, value in body.items() if key in ("_id", "id", "modelId", *wanted)}
    return Answer(body=body)


def _entry(path: str, tree: Mapping[str, Blob]) -> dict[str, Any]:
    blob = tree.get(path)
    if blob is None:
        below = "".join(f"{name} {item.oid}\n" for name, item in sorted(tree.items()) if name.startswith(f"{path}/"))
        oid = hashlib.sha1(below.encode(), usedforsecurity=False).hexdigest()
        return {"type": "directory", "oid": oid, "size": 0, "path": path}
    entry: dict[str, Any] = {"type": "file", "oid": blob.oid, "size": len(blob.data), "path": path}
    if blob.is_lfs:
        entry["lfs"] = {"oid": blob.sha256, "size": len(blob.data), "pointerSize": len(blob.pointer)}
    return entry


def _expanded(entry: dict[str, Any], commit: Commit) -> dict[str, Any]:
    last = {"id": commit.oid, "title": commit.title, "date": commit.date}
    safe = {"status": "safe", "avScan": None, "pickleImportScan": None}
    return {**entry, "lastCommit": last} | ({"securityFileStatus": safe} if entry["type"] == "file" else {})


def _tree(request: _Request, repo: Repository, revision: str, folder: str) -> Answer:
    commit = _revision(repo, revision)
    start = f"{folder}/" if folder else ""
    below = [path for path in commit.tree if path.startswith(start)]
    if folder and not below:
        raise _RefusedError(404, "EntryNotFound", f"{folder} does not exist on {revision!r}")
    paths: set[str] = set()
    for path in below:
        names = path.removeprefix(start).split("/")
        depths = range(1, len(names) + 1) if request.is_set("recursive") else (1,)
        paths |= {start + "/".join(names[:depth]) for depth in depths}
    entries = [_entry(path, commit.tree) for path in sorted(paths)]
    if request.is_set("expand"):
        entries = [_expanded(entry, commit) for entry in entries]
    size = request.hub.page_size
    at = int(request.first("cursor") or 0)
    headers = {}
    if at + size < len(entries):
        keep = "&".join(f"{key}={request.first(key)}" for key in ("recursive", "expand") if request.first(key))
        headers["Link"] = f'<{request.hub.endpoint}{request.path}?{keep}&cursor={at + size}>; rel="next"'
    return Answer(body=entries[at : at + size], headers=headers)


def _paths_info(request: _Request, repo: Repository, revision: str) -> Answer:
    commit = _revision(repo, revision)
    if request.headers.get("Content-Type", "").startswith("application/json"):
        paths, expand = request.json["paths"], bool(request.json.get("expand"))
    else:
        form = parse_qs(request.body.decode())
        paths, expand = form.get("paths", []), form.get("expand", [""])[0].lower() == "true"
    known = set(commit.tree) | {str(parent) for path in commit.tree for parent in Path(path).parents}
    entries = [_entry(path, commit.tree) for path in paths if path in known]
    return Answer(body=[_expanded(entry, commit) for entry in entries] if expand else entries)


def _refs(request: _Request, repo: Repository) -> Answer:
    branches = [
        {"name": name, "ref": f"refs/heads/{name}", "targetCommit": oid}
        for name, oid in repo.refs.items()
        if not name.startswith("refs/")
    ]
    requests = [
        {"name": name.removeprefix("refs/pr/"), "ref": name, "targetCommit": oid}
        for name, oid in repo.refs.items()
        if name.startswith("refs/pr/")
    ]
    body: dict[str, Any] = {"branches": branches, "converts": [], "tags": []}
    return Answer(body=body | ({"pullRequests": requests} if request.is_set("include_prs") else {}))


def _commits(request: _Request, repo: Repository, revision: str) -> Answer:
    _revision(repo, revision)
    log = [
        {
            "id": commit.oid,
            "title": commit.title,
            "message": commit.description,
            "date": commit.date,
            "authors": [{"user": commit.author}],
        }
        for commit in repo.log(revision)
    ]
    size = request.hub.page_size
    at = int(request.first("p") or 0) * size
    headers = {}
    if at + size < len(log):
        headers["Link"] = f'<{request.hub.endpoint}{request.path}?p={at // size + 1}>; rel="next"'
    return Answer(body=log[at : at + size], headers=headers)


def _is_lfs(path: str, size: int) -> bool:
    return path.endswith(LFS_SUFFIXES) or size > LFS_BYTES


def _preupload(request: _Request, repo: Repository, revision: str) -> Answer:
    if not request.is_set("create_pr"):
        _may_commit(request, repo, revision)
    commit = _revision(repo, revision)
    files = []
    for asked in request.json["files"]:
        path = asked["path"]
        old = commit.tree.get(path)
        oid = None if old is None else old.sha256 if old.is_lfs else old.oid
        mode = "lfs" if _is_lfs(path, asked["size"]) else "regular"
        files.append({"path": path, "uploadMode": mode, "shouldIgnore": False, "oid": oid})
    return Answer(body={"files": files})


def _may_commit(request: _Request, repo: Repository, revision: str) -> str:
    found = re.fullmatch(r"refs/pr/(\d+)", revision)
    if found:
        return _writer_or(request, repo, _thread(repo, found[1]).author)
    return _writer(request, repo)


def _lfs_batch(request: _Request, repo: Repository) -> Answer:
    request.signed()
    objects = []
    for asked in request.json["objects"]:
        entry: dict[str, Any] = {"oid": asked["oid"], "size": asked["size"]}
        if asked["oid"] not in repo.lfs:
            where = f"{repo.kind}/{repo.repo_id}"
            entry["actions"] = {
                "upload": {"href": f"{request.hub.endpoint}/lfs-upload/{where}/{asked['oid']}"},
                "verify": {"href": f"{request.hub.endpoint}/lfs-verify/{where}"},
            }
        objects.append(entry)
    return Answer(body={"transfer": "basic", "objects": objects})


def _take_lfs(request: _Request, repo: Repository, oid: str) -> Answer:
    if hashlib.sha256(request.body).hexdigest() != oid:
        return Answer(400, {"error": "the content is not what its name says"})
    repo.lfs[oid] = request.body
    return Answer(body={})


def _commit(request: _Request, repo: Repository, revision: str) -> Answer:
    is_request = request.is_set("create_pr")
    user = request.signed() if is_request else _may_commit(request, repo, revision)
    lines = [json.loads(line) for line in request.body.splitlines() if line]
    header = lines[0]["value"]
    parent = _revision(repo, revision)
    asked = header.get("parentCommit")
    if asked is not None and is_request:
        parent = _revision(repo, asked)
    elif asked is not None and asked != parent.oid:
        raise _RefusedError(412, None, "A commit has happened since. Please refresh and try again.")
    tree = dict(parent.tree)
    for line in lines[1:]:
        _apply(line["key"], line["value"], tree, repo)
    title, description = header["summary"], header.get("description", "")
    ref = revision.removeprefix("refs/heads/")
    thread = None
    if is_request:
        thread = _open_thread(repo, title, description, user, base=parent.oid, status="open")
        ref = f"refs/pr/{thread.num}"
    commit = repo.commit(tree, ref, (parent.oid,), title, user, description)
    if thread is None and ref.startswith("refs/pr/"):
        thread = _thread(repo, ref.removeprefix("refs/pr/"))
    if thread is not None:
        _note_commit(thread, commit)
    prefix = "" if repo.kind == "model" else f"{repo.kind}s/"
    url = f"{request.hub.endpoint}/{prefix}{repo.repo_id}"
    body = {"success": True, "commitOid": commit.oid, "commitUrl": f"{url}/commit/{commit.oid}", "hookOutput": ""}
    if is_request and thread is not None:
        body["pullRequestUrl"] = f"{url}/discussions/{thread.num}"
    return Answer(body=body)


def _apply(key: str, value: dict[str, Any], tree: dict[str, Blob], repo: Repository) -> None:
    path = value["path"]
    if key == "file":
        tree[path] = Blob(base64.b64decode(value["content"]), False)
    elif key == "lfsFile":
        data = repo.lfs.get(value["oid"])
        if data is None:
            raise _RefusedError(400, None, f"LFS pointer pointed to a file that does not exist: {path}")
        tree[path] = Blob(data, True)
    elif key == "deletedFile":
        if tree.pop(path, None) is None:
            raise _RefusedError(404, "EntryNotFound", f"A file with this name doesn't exist: {path}")
    elif key == "deletedFolder":
        for name in [name for name in tree if name.startswith(f"{path.rstrip('/')}/")]:
            del tree[name]


def _resolve(request: _Request, repo: Repository, revision: str, path: str) -> Answer:
    commit = _revision(repo, revision)
    blob = commit.tree.get(path)
    headers = {"X-Repo-Commit": commit.oid, "Accept-Ranges": "bytes"}
    if blob is None:
        refused = _RefusedError(404, "EntryNotFound", "Entry not found").answer
        return Answer(404, refused.body, {**refused.headers, **headers})
    headers["ETag"] = f'"{blob.sha256 if blob.is_lfs else blob.oid}"'
    headers["Content-Type"] = "application/octet-stream"
    if blob.is_lfs:
        headers |= {"X-Linked-Size": str(len(blob.data)), "X-Linked-Etag": headers["ETag"]}
    found = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("Range", ""))
    if found is None:
        return Answer(body=blob.data, headers=headers)
    start = int(found[1])
    end = min(int(found[2]) if found[2] else len(blob.data) - 1, len(blob.data) - 1)
    if start >= len(blob.data):
        return Answer(416, b"", {**headers, "Content-Range": f"bytes */{len(blob.data)}"})
    headers["Content-Range"] = f"bytes {start}-{end}/{len(blob.data)}"
    return Answer(206, blob.data[start : end + 1], headers)


def _thread(repo: Repository, num: str) -> Thread:
    for thread in repo.threads:
        if str(thread.num) == num:
            return thread
    raise _RefusedError(404, None, "Discussion not found")


def _summary(thread: Thread, repo: Repository) -> dict[str, Any]:
    return {
        "num": thread.num,
        "title": thread.title,
        "author": {"name": thread.author, "type": "user"},
        "createdAt": thread.date,
        "status": thread.status,
        "isPullRequest": thread.base is not None,
        "repo": {"name": repo.repo_id, "type": repo.kind},
    }


def _details(thread: Thread, repo: Repository) -> dict[str, Any]:
    body = {**_summary(thread, repo), "events": thread.events}
    if thread.base is not None:
        body["changes"] = {"base": "refs/heads/main", "mergeCommitId": thread.merge_commit}
        body["filesWithConflicts"] = []
    return body


def _threads(request: _Request, repo: Repository) -> Answer:
    found = list(reversed(repo.threads))
    if kind := request.first("type"):
        found = [t for t in found if kind == "all" or (t.base is not None) == (kind == "pull_request")]
    if status := request.first("status"):
        is_open = {"open", "draft"}
        found = [t for t in found if status == "all" or (t.status in is_open) == (status == "open")]
    if author := request.first("author"):
        found = [t for t in found if t.author == author]
    size = request.hub.page_size
    start = int(request.first("p") or 0) * size
    shown = [_summary(thread, repo) for thread in found[start : start + size]]
    return Answer(body={"count": len(found), "start": start, "discussions": shown})


def _new_thread(request: _Request, repo: Repository) -> Answer:
    user, asked = request.signed(), request.json
    is_request = bool(asked.get("pullRequest"))
    base = repo.head.oid if is_request else None
    status = "draft" if is_request else "open"
    thread = _open_thread(repo, asked["title"], asked["description"], user, base=base, status=status)
    if base is not None:
        repo.refs[f"refs/pr/{thread.num}"] = base
    return Answer(body={"num": thread.num, "pullRequest": is_request})


def _check_comment(text: str) -> str:
    if not text or len(text) > COMMENT_CHARACTERS:
        raise _RefusedError(400, None, f"a comment has 1 to {COMMENT_CHARACTERS} characters")
    return text


def _add_comment(request: _Request, thread: Thread) -> Answer:
    user = request.signed()
    event = _comment(user, _check_comment(request.json["comment"]), len(thread.events))
    thread.events.append(event)
    return Answer(body={"newMessage": event})


def _edit_comment(request: _Request, repo: Repository, thread: Thread, comment_id: str) -> Answer:
    for event in thread.events:
        if event["id"] == comment_id and event["type"] == "comment":
            user = _writer_or(request, repo, event["author"]["name"])
            latest = {
                "raw": _check_comment(request.json["content"]),
                "html": "",
                "updatedAt": _now(),
                "author": {"name": user},
            }
            event["data"]["latest"] = latest
            event["data"]["history"].append(latest)
            event["data"]["edited"] = True
            return Answer(body={"updatedComment": event})
    raise _RefusedError(404, None, "Comment not found")


def _change_status(request: _Request, repo: Repository, thread: Thread) -> Answer:
    user = _writer_or(request, repo, thread.author)
    asked = request.json
    if text := asked.get("comment"):
        thread.events.append(_comment(user, text, len(thread.events)))
    return Answer(body={"newStatus": _set_status(thread, user, asked["status"])})


def _merge(request: _Request, repo: Repository, thread: Thread) -> Answer:
    user = _writer(request, repo)
    if thread.base is None or thread.status not in ("open", "draft"):
        raise _RefusedError(400, None, "only an open pull request is merged")
    head = _revision(repo, f"refs/pr/{thread.num}")
    base, main = repo.commits[thread.base], repo.head
    tree = dict(main.tree)
    for path in sorted(base.tree.keys() | head.tree.keys()):
        old, new = base.tree.get(path), head.tree.get(path)
        if old == new:
            continue
        if main.tree.get(path) not in (old, new):
            raise _RefusedError(409, None, f"conflict in {path}")
        if new is None:
            tree.pop(path, None)
        else:
            tree[path] = new
    title = f"{thread.title} (#{thread.num})"
    thread.merge_commit = repo.commit(tree, "main", (main.oid, head.oid), title, user).oid
    _set_status(thread, user, "merged")
    return Answer(body={})


def _variables(request: _Request, repo: Repository) -> Answer:
    _writer(request, repo)
    if repo.kind != "space":
        raise _RefusedError(404, None, "only a Space has variables")
    asked = request.json
    if request.method == "POST":
        repo.variables[asked["key"]] = {"value": asked["value"], "description": asked.get("description", "")}
    elif request.method == "DELETE":
        repo.variables.pop(asked["key"], None)
    shown = {key: {"key": key, "updatedAt": _now(), **value} for key, value in repo.variables.items()}
    return Answer(body=shown)


# --- the server ------------------------------------------------------------------------------------------------


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: ClassVar[LoopbackHub]
    disable_nagle_algorithm = True

    def log_message(self, *args: object) -> None:
        pass

    def _read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            data = bytearray()
            while size := int(self.rfile.readline().split(b";")[0], 16):
                data += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return bytes(data)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _take_fault(self, path: str) -> Fault | None:
        with self.hub.lock:
            for fault in self.hub.faults:
                if fault.times == 0 or fault.method not in (None, self.command) or not fault.pattern.search(path):
                    continue
                if fault.skip:
                    fault.skip -= 1
                    continue
                fault.times -= 1 if fault.times > 0 else 0
                return fault
        return None

    def _answer(self) -> None:
        url = urlsplit(self.path)
        body = self._read_body()
        query = parse_qs(url.query)
        path = unquote(url.path)
        user = None
        fault = self._take_fault(path)
        if fault is not None and fault.delay_seconds:
            time.sleep(fault.delay_seconds)
        answer = Answer()
        if fault is None or fault.is_landed or fault.status == 200:
            try:
                user = self.hub.user_of(self.headers.get("Authorization"))
                with self.hub.lock:
                    answer = _route(_Request(self.hub, self.command, url.path, query, body, self.headers, user))
            except _RefusedError as refused:
                answer = refused.answer
        if fault is not None and fault.status != 200:
            refused = _RefusedError(fault.status, None, fault.message).answer
            answer = Answer(refused.status, refused.body, {**refused.headers, **fault.headers})
        with self.hub.lock:
            self.hub.requests.append(Call(self.command, path, query, user, answer.status, len(body)))
        if answer.status == 0:
            self.close_connection = True
            return
        self._send(answer)

    def _send(self, answer: Answer) -> None:
        data = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
        status = 404 if answer.status == 599 else answer.status
        self.send_response(status)
        headers = {"Content-Type": "application/json", **answer.headers, "Content-Length": str(len(data))}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _answer  # noqa: N815 - the names are http.server's


@contextlib.contextmanager
def serve_hub() -> Iterator[LoopbackHub]:
    """Run a Hub on a free port for the length of the block."""
    hub = LoopbackHub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    hub.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[LoopbackHub]:
    """A Hub, and this process's client turned to it: online, signed in as the owner, with a cache of its own.

    The client's settings are its module constants, read at every call; its code is not touched.
    """
    from huggingface_hub import constants
    from huggingface_hub.utils import close_session, disable_progress_bars

    # The client of 2.4 sends LFS files as `data=`, of which its own HTTP library warns.
    warnings.filterwarnings("ignore", "Use 'content=", DeprecationWarning)
    home = tmp_path / "hf-home"
    with serve_hub() as served:
        template = served.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
        settings = {
            "ENDPOINT": served.endpoint,
            "HUGGINGFACE_CO_URL_TEMPLATE": template,
            "HF_HUB_OFFLINE": False,
            "HF_HOME": str(home),
            "HF_HUB_CACHE": str(home / "hub"),
            "HF_TOKEN_PATH": str(home / "token"),
            "HF_STORED_TOKENS_PATH": str(home / "stored_tokens"),
        }
        for name, value in settings.items():
            monkeypatch.setattr(constants, name, value)
        monkeypatch.setenv("HF_TOKEN", OWNER_TOKEN)
        monkeypatch.setenv("HF_ENDPOINT", served.endpoint)
        disable_progress_bars()
        close_session()
        yield served
        close_session()
