"""The review APIs (authentication, authorization): who a user is, what it may do, and what others may do.

Reviews are answered directly and not stored.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from controller.apiserver import failures, times
from controller.apiserver.access.attributes import Attributes
from controller.apiserver.access.authorization import Policy
from controller.apiserver.access.identities import Identity
from controller.apiserver.access.users import Users
from controller.apiserver.schemas import structural
from controller.apiserver.schemas.causes import Cause
from controller.apiserver.schemas.structural import PRESERVE

Object = dict[str, Any]
GROUPS = ("authentication.k8s.io", "authorization.k8s.io")
MAX_BODY = 8 << 10  # bytes: every authenticated user may send reviews, and they are short

_TEXT: Object = {"type": "string", "nullable": True}
_TEXTS: Object = {"type": "array", "nullable": True, "items": {"type": "string"}}
_OBJECT: Object = {"type": "object", "nullable": True, PRESERVE: True}


def _object_of(**properties: Object) -> Object:
    return {"type": "object", "nullable": True, "properties": properties}


_SPEC = _object_of(
    namespace=_TEXT, token=_TEXT, user=_TEXT, uid=_TEXT, groups=_TEXTS, audiences=_TEXTS, extra=_OBJECT,
    nonResourceAttributes=_object_of(verb=_TEXT, path=_TEXT),
    resourceAttributes=_object_of(
        **dict.fromkeys(("verb", "group", "version", "resource", "subresource", "namespace", "name"), _TEXT),
        fieldSelector=_OBJECT, labelSelector=_OBJECT,
    ),
)  # fmt: skip
# The schema of all reviews in one; each kind ignores the fields of the others.
_SHAPE = {**_object_of(apiVersion=_TEXT, kind=_TEXT, metadata=_OBJECT, spec=_SPEC), "nullable": False}


class Reviews:
    """Answers reviews by kind. Raises failures.Failure."""

    def __init__(self, policy: Policy, users: Users) -> None:
        self._policy = policy
        self._users = users
        self._answers: dict[str, Callable[[Identity, Object, Attributes], Object]] = {
            "selfsubjectreviews": self._whoami,
            "tokenreviews": self._token,
            "selfsubjectrulesreviews": self._rules,
            "selfsubjectaccessreviews": self._self_access,
            "subjectaccessreviews": self._access,
            "localsubjectaccessreviews": self._local_access,
        }

    def answer(self, user: Identity, attrs: Attributes, body: Any) -> Object:
        """Return the review with its status."""
        if causes := structural.validate(body, _SHAPE):
            raise failures.bad_request(f"the body must be an object of {attrs.qualified}: {causes[0].message}")
        # The response repeats the body, which must bring back no unknown fields.
        structural.prune(body, _SHAPE)
        answer = self._answers.get(attrs.resource)
        if answer is None or attrs.name:
            raise failures.unknown_path()
        return answer(user, body, attrs)

    def _whoami(self, user: Identity, body: Object, _: Attributes) -> Object:
        metadata = {**(body.get("metadata") or {}), "creationTimestamp": times.now()}
        return {**body, "metadata": metadata, "status": {"userInfo": _info(user)}}

    def _token(self, _: Identity, body: Object, __: Attributes) -> Object:
        token = (body.get("spec") or {}).get("token")
        if not token:
            raise failures.bad_request("token is required for TokenReview in authentication")
        owner = self._users.token_owner(str(token))
        found = {"authenticated": True, "user": _info(owner)} if owner else {"error": "invalid bearer token"}
        return {**body, "status": {"user": {}, **found}}

    def _rules(self, user: Identity, body: Object, _: Attributes) -> Object:
        if not (body.get("spec") or {}).get("namespace"):
            raise failures.bad_request("no namespace on request")
        resources, paths = self._policy.review(user)
        status = {"resourceRules": resources, "nonResourceRules": paths, "incomplete": False}
        return {**body, "spec": {}, "status": status}

    def _self_access(self, user: Identity, body: Object, _: Attributes) -> Object:
        spec = body.get("spec") or {}
        _refuse(_faults(spec))
        return self._decided(user, body, spec)

    def _access(self, _: Identity, body: Object, __: Attributes) -> Object:
        spec = body.get("spec") or {}
        _refuse(_faults(spec) + _subject_faults(spec))
        return self._decided(_subject(spec), body, spec)

    def _local_access(self, _: Identity, body: Object, attrs: Attributes) -> Object:
        spec = body.get("spec") or {}
        given = (spec.get("resourceAttributes") or {}).get("namespace", "")
        elsewhere = Cause(
            "FieldValueInvalid",
            f'Invalid value: "{given}": must match metadata.namespace',
            "spec.resourceAttributes.namespace",
        )
        _refuse(_faults(spec) + _subject_faults(spec) + ([elsewhere] if given != attrs.namespace else []))
        metadata = {**(body.get("metadata") or {}), "namespace": attrs.namespace}
        return self._decided(_subject(spec), {**body, "metadata": metadata}, spec)

    def _decided(self, user: Identity, body: Object, spec: Object) -> Object:
        return {**body, "status": {"allowed": self._policy.allows(user, _attributes_of(spec))}}


def _attributes_of(spec: Object) -> Attributes:
    """The request that a review is about."""
    if path := spec.get("nonResourceAttributes"):
        return Attributes(str(path.get("verb", "")), str(path.get("path", "")))

    def read(field: str) -> str:
        return str(spec["resourceAttributes"].get(field) or "")

    return Attributes(
        read("verb"), "", read("group"), read("version"), read("resource"), read("subresource"), read("namespace"),
        read("name"),
    )  # fmt: skip


def _subject(spec: Object) -> Identity:
    return Identity(str(spec.get("user") or ""), tuple(str(group) for group in spec.get("groups") or ()))


def _info(user: Identity) -> Object:
    return {"username": user.name, "groups": list(user.groups)}


def _faults(spec: Object) -> list[Cause]:
    resource, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if resource and path:
        why = "Invalid value: cannot be specified in combination with resourceAttributes"
        return [Cause("FieldValueInvalid", why, "spec.nonResourceAttributes")]
    if isinstance(resource or path, dict):
        return []
    why = "Invalid value: null: exactly one of nonResourceAttributes or resourceAttributes must be specified"
    return [Cause("FieldValueInvalid", why, "spec.resourceAttributes")]


def _subject_faults(spec: Object) -> list[Cause]:
    if spec.get("user") or spec.get("groups"):
        return []
    return [
        Cause("FieldValueInvalid", 'Invalid value: "": at least one of user or group must be specified', "spec.user")
    ]


def _refuse(causes: list[Cause]) -> None:
    if causes:
        lines = [f"{cause.field}: {cause.message}" for cause in causes]
        text = lines[0] if len(lines) == 1 else f"[{', '.join(lines)}]"
        details = {"group": GROUPS[1], "causes": [cause._asdict() for cause in causes]}
        raise failures.Failure(422, "Invalid", f'.{GROUPS[1]} "" is invalid: {text}', details)
