"""Whom the chart gives which rights: agents, people, and nobody to the cloud's key."""

from __future__ import annotations

from typing import Any

from tests.helm.chart import CHART, Helm, Objects


def namespaced_rules(found: Objects, resource: str) -> dict[str, dict[str, Any]]:
    """The rules of the agents for a resource in the namespaces of runtimes, by namespace."""
    named = [each for each in found.all if each["metadata"]["name"].endswith("-node-runtimes")]
    roles = [each for each in named if each["kind"] == "Role"]
    return {role["metadata"]["namespace"]: rule for role in roles for rule in role["rules"]
            if rule["resources"] == [resource]}  # fmt: skip


def test_agents_read_only_the_named_secrets_and_only_in_the_namespaces_of_runtimes(helm: Helm) -> None:
    assert namespaced_rules(helm.render(), "secrets") == {}
    found = helm.render(
        {"furtherNamespaces": ["line-a"], "runtimesNamespace": "plant", "runtimeSecrets": ["registry", "press-1"]}
    )
    rules = namespaced_rules(found, "secrets")
    assert list(rules) == ["plant", "line-a"]
    for rule in rules.values():
        assert (rule["verbs"], rule["resourceNames"]) == (["get"], ["registry", "press-1"])
    assert not any(
        "secrets" in rule["resources"] for role in found.of("ClusterRole").values() for rule in role["rules"]
    )


def test_the_cloud_key_cannot_be_given_to_the_agents(helm: Helm) -> None:
    options = ("template", "edge-controller", str(CHART), "--kube-version=1.35.0")
    named = "--set=runtimeSecrets={edge-controller-client}"
    assert "every node could read it" in helm.run(*options, named, fails=True)
    helm.run(*options, named, "--set=runtimesNamespace=plant")


def test_agents_watch_pods_only_in_the_namespaces_of_runtimes(helm: Helm) -> None:
    found = helm.render({"furtherNamespaces": ["line-a"]})
    assert list(namespaced_rules(found, "pods")) == ["edge", "line-a"]
    everywhere = found.one("ClusterRole", "edge-controller-node")["rules"]
    assert not any("pods" in rule["resources"] for rule in everywhere)


def test_all_processes_know_the_namespaces_that_are_served(helm: Helm) -> None:
    found = helm.render({"furtherNamespaces": ["line-a", "line-b"]})
    for kind in ("Deployment", "DaemonSet"):
        assert found.environment(kind)["EDGE_FURTHER_NAMESPACES"] == "line-a,line-b"
        assert "EDGE_FURTHER_NAMESPACES" not in helm.render().environment(kind)


def test_the_clusters_role_edit_gets_no_rights_of_ours(helm: Helm) -> None:
    labels = [role["metadata"]["labels"] for role in helm.render().of("ClusterRole").values()]
    aggregated = {name for each in labels for name in each if name.startswith("rbac.authorization.k8s.io/")}
    assert aggregated == {f"rbac.authorization.k8s.io/aggregate-to-{role}" for role in ("view", "admin")}
