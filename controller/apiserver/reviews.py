"""What a user may ask about themselves: who they are and what they may (authentication and authorization groups).

Both users of the embedded API may do everything.
"""

from __future__ import annotations

from typing import Any

from controller.apiserver import failures

Object = dict[str, Any]

GROUPS = ["system:masters", "system:authenticated"]
EVERYTHING = {
    "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}],
    "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
    "incomplete": False,
}


def is_review(parts: list[str]) -> bool:
    """Whether a path names a review."""
    return len(parts) == 4 and parts[:2] in (["apis", "authentication.k8s.io"], ["apis", "authorization.k8s.io"])


def answer(kind: str, user: str, body: Object) -> Object:
    """The review with its status. Raises failures.Failure (404)."""
    statuses: dict[str, Object] = {
        "selfsubjectreviews": {"userInfo": {"username": user, "groups": GROUPS}},
        "selfsubjectaccessreviews": {"allowed": True},
        "selfsubjectrulesreviews": EVERYTHING,
    }
    if kind not in statuses:
        raise failures.unknown_path()
    return {**body, "status": statuses[kind]}
