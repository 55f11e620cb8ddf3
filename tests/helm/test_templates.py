"""The effect of each value on the rendered chart."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from controller import __version__
from tests.helm.chart import CHART, Helm, Objects

ISSUER = {"name": "plant", "kind": "ClusterIssuer"}
CA = "-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----\n"


def pods(found: Objects) -> list[dict[str, Any]]:
    """The pod specs of all workloads."""
    templates = [each["spec"]["template"]["spec"] for kind in ("Deployment", "DaemonSet", "Job")
                 for each in found.of(kind).values()]  # fmt: skip
    return [*templates, *(each["spec"] for each in found.of("Pod").values())]


def test_the_chart_passes_strict_lint(helm: Helm) -> None:
    helm.run("lint", "--strict", str(CHART), "--set=purge=true", "--set=metrics.serviceMonitor.enabled=true")


def test_every_value_is_described_by_the_schema_and_has_a_comment(helm: Helm) -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    schema = yaml.safe_load((CHART / "values.schema.json").read_text())
    assert set(values) == set(schema["properties"]) - {"global"}
    for name, value in values.items():
        described = schema["properties"][name]
        if isinstance(value, dict) and value and "properties" in described:
            assert set(value) == set(described["properties"]), name


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("cloud.url", "api.getedge.me", "/cloud/url"),
        ("cloud.certManager.enabled", True, "agentId"),
        ("image.digest", "sha256:short", "digest"),
        ("settings", {"EDGE_ROLES": "link"}, "EDGE_ROLES"),
        ("settings", {"LOG_LEVEL": "debug"}, "LOG_LEVEL"),
        ("controller.replicas", 0, "replicas"),
        ("node.dockerSocket", "unix:///run/docker.sock", "dockerSocket"),
        ("replicas", 3, "replicas"),
        ("purge", "yes", "purge"),
    ],
)
def test_wrong_values_are_rejected_by_the_schema(helm: Helm, name: str, value: Any, said: str) -> None:
    options = ("template", "x", str(CHART), "--kube-version=1.35.0", f"--set-json={name}={json.dumps(value)}")
    assert said in helm.run(*options, fails=True)


# For each value: the object that exists with it, and not without it.
SWITCHES: list[tuple[dict[str, Any], str, str]] = [
    ({"cloud.certManager.enabled": True, "cloud.certManager.agentId": "07048933",
      "cloud.certManager.issuerRef": ISSUER}, "Certificate", "edge-controller-client"),
    ({"cloud.caBundle": CA}, "ConfigMap", "edge-controller-cloud"),
    ({"networkPolicy.enabled": True}, "NetworkPolicy", "edge-controller"),
    ({"metrics.serviceMonitor.enabled": True}, "ServiceMonitor", "edge-controller"),
    ({"metrics.serviceMonitor.enabled": True}, "Service", "edge-controller-metrics"),
    ({"metrics.dashboard.enabled": True}, "ConfigMap", "edge-controller-dashboard"),
    ({"purge": True}, "Job", "edge-controller-purge"),
]  # fmt: skip
# For each value: the object that exists by default, and not with this value.
DEFAULTS: list[tuple[dict[str, Any], str, str]] = [
    ({"node.enabled": False}, "DaemonSet", "edge-controller-node"),
    ({"node.enabled": False}, "ServiceAccount", "edge-controller-node"),
    ({"node.enabled": False}, "ClusterRole", "edge-controller-node"),
    ({"crds.install": False}, "CustomResourceDefinition", "runtimes.getedge.me"),
    ({"rbac.create": False}, "ClusterRole", "edge-controller-link"),
    ({"rbac.create": False}, "ServiceAccount", "edge-controller"),
    ({"rbac.aggregate": False}, "ClusterRole", "edge-controller-people-admin"),
    ({"rbac.bindNodes": False}, "ValidatingAdmissionPolicy", "edge-controller-node-names"),
    ({"rbac.bindNodes": False}, "ValidatingAdmissionPolicyBinding", "edge-controller-node-runtimes"),
    ({"node.enabled": False}, "ValidatingAdmissionPolicy", "edge-controller-node-events"),
    ({"priorityQuota": False}, "ResourceQuota", "edge-controller-critical-pods"),
    ({"cleanup.enabled": False}, "Job", "edge-controller-release"),
    ({"cleanup.enabled": False}, "ServiceAccount", "edge-controller-cleanup"),
    ({"controller.podDisruptionBudget.enabled": False}, "PodDisruptionBudget", "edge-controller"),
    ({"controller.replicas": 1}, "PodDisruptionBudget", "edge-controller"),
]


@pytest.mark.parametrize(("values", "kind", "name"), SWITCHES)
def test_a_switch_adds_its_object(helm: Helm, values: dict[str, Any], kind: str, name: str) -> None:
    assert name in helm.render(values).of(kind)
    assert name not in helm.render().of(kind)


@pytest.mark.parametrize(("values", "kind", "name"), DEFAULTS)
def test_a_switch_removes_its_object(helm: Helm, values: dict[str, Any], kind: str, name: str) -> None:
    assert name not in helm.render(values).of(kind)
    assert name in helm.render().of(kind)


def test_workloads_run_with_their_roles_and_settings(helm: Helm) -> None:
    found = helm.render({"settings": {"EDGE_LOG_LEVEL": "debug", "EDGE_HEARTBEAT_SECONDS": 7}})
    deployment, daemons = found.environment("Deployment"), found.environment("DaemonSet")
    assert (deployment["EDGE_ROLES"], daemons["EDGE_ROLES"]) == ("link,pods", "node")
    for each in (deployment, daemons):
        assert (each["EDGE_API"], each["EDGE_NAMESPACE"]) == ("cluster", "edge")
        assert (each["EDGE_LOG_LEVEL"], each["EDGE_HEARTBEAT_SECONDS"]) == ("debug", "7")
    assert "EDGE_CLOUD_URL" not in daemons


def test_the_client_certificate_comes_from_the_named_secret(helm: Helm) -> None:
    found = helm.render({"cloud.clientCertificateSecret": "agent"})
    (secret,) = [v["secret"] for v in found.one("Deployment")["spec"]["template"]["spec"]["volumes"] if "secret" in v]
    assert (secret["secretName"], secret["optional"]) == ("agent", True)


def test_cert_manager_creates_the_secret_that_is_mounted(helm: Helm) -> None:
    found = helm.render(SWITCHES[0][0])
    certificate = found.one("Certificate")["spec"]
    assert (certificate["secretName"], certificate["commonName"]) == ("edge-controller-client", "07048933")
    assert certificate["issuerRef"] == ISSUER


@pytest.mark.parametrize(
    ("values", "image"),
    [
        ({}, "ghcr.io/getedge/edge-controller:0.1.0"),
        ({"image.repository": "r.test/e", "image.tag": "7"}, "r.test/e:7"),
        ({"image.repository": "r.test/e", "image.digest": f"sha256:{'0' * 64}"}, f"r.test/e@sha256:{'0' * 64}"),
    ],
)
def test_everything_runs_the_same_image(helm: Helm, values: dict[str, Any], image: str) -> None:
    found = helm.render({**values, "purge": True, "imagePullSecrets": [{"name": "registry"}]})
    assert len(pods(found)) == 5
    assert {pod["containers"][0]["image"] for pod in pods(found)} == {image}
    assert all(pod["imagePullSecrets"] == [{"name": "registry"}] for pod in pods(found))


def test_only_the_node_agent_has_privileges_on_its_host(helm: Helm) -> None:
    found = helm.render({"purge": True})
    for pod in pods(found):
        context = pod["containers"][0]["securityContext"]
        assert context["capabilities"]["drop"] == ["ALL"]
        assert context["readOnlyRootFilesystem"] is True
        assert "privileged" not in context
        assert "resources" in pod["containers"][0]
        if pod["serviceAccountName"] != "edge-controller-node":
            assert pod["securityContext"]["runAsNonRoot"] is True
            assert not {"hostNetwork", "hostPID"} & set(pod)
            assert not any("hostPath" in volume for volume in pod.get("volumes", []))
            assert "add" not in context["capabilities"]
    accounts = {pod["serviceAccountName"] for pod in pods(found)}
    assert accounts == {f"edge-controller{end}" for end in ("", "-node", "-cleanup", "-test")}


@pytest.mark.parametrize("shared", [False, True])
def test_the_node_agent_is_privileged_only_to_share_its_mounts(helm: Helm, shared: bool) -> None:
    container = helm.render({"node.shareMounts": shared}).container("DaemonSet")
    propagation = {mount["name"]: mount.get("mountPropagation") for mount in container["volumeMounts"]}
    assert propagation.pop("state") == ("Bidirectional" if shared else None)
    assert set(propagation.values()) == {None}
    assert container["securityContext"].get("privileged", False) is shared


@pytest.mark.parametrize(("exposed", "listen", "host"), [(False, "127.0.0.1:9402", "127.0.0.1"),
                                                         (True, "$(HOST_IP):9402", None)])  # fmt: skip
def test_the_nodes_metrics_are_on_loopback_unless_exposed(
    helm: Helm, exposed: bool, listen: str, host: str | None
) -> None:
    found = helm.render({"metrics.exposeNodes": exposed})
    assert found.environment("DaemonSet")["EDGE_HTTP_LISTEN"] == listen
    container = found.container("DaemonSet")
    for probe in ("livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"].get("host") == host


def test_scheduling_is_set_for_each_workload(helm: Helm) -> None:
    toleration = {"key": "edge", "operator": "Exists"}
    affinity: dict[str, Any] = {"nodeAffinity": {}}
    for workload, kind in (("controller", "Deployment"), ("node", "DaemonSet")):
        found = helm.render(
            {
                f"{workload}.tolerations": [toleration],
                f"{workload}.nodeSelector": {"edge": "yes"},
                f"{workload}.affinity": affinity,
                f"{workload}.priorityClassName": "important",
                f"{workload}.resources": {"limits": {"memory": "1Gi"}},
            }
        )
        pod = found.one(kind)["spec"]["template"]["spec"]
        assert (pod["tolerations"], pod["nodeSelector"]) == ([toleration], {"edge": "yes"})
        assert (pod["affinity"], pod["priorityClassName"]) == (affinity, "important")
        assert pod["containers"][0]["resources"]["limits"] == {"memory": "1Gi"}


def test_replicas_are_on_different_nodes_and_agents_on_all_nodes(helm: Helm) -> None:
    found = helm.render()
    deployment = found.one("Deployment")["spec"]
    assert deployment["replicas"] == 2
    assert "podAntiAffinity" in deployment["template"]["spec"]["affinity"]
    assert found.one("DaemonSet")["spec"]["template"]["spec"]["tolerations"] == [{"operator": "Exists"}]


@pytest.mark.parametrize("keep", [True, False])
def test_the_crds_are_kept_at_uninstall_by_default(helm: Helm, keep: bool) -> None:
    definitions = helm.render({"crds.keep": keep}).of("CustomResourceDefinition")
    assert len(definitions) == 3
    for each in definitions.values():
        assert each["metadata"].get("annotations", {}).get("helm.sh/resource-policy") == ("keep" if keep else None)


@pytest.mark.parametrize(
    ("values", "classes"),
    [
        ({}, ["system-node-critical"]),
        (
            {"controller.priorityClassName": "system-cluster-critical"},
            ["system-node-critical", "system-cluster-critical"],
        ),
        ({"node.priorityClassName": "plant"}, []),
        ({"node.enabled": False}, []),
    ],
)
def test_a_quota_allows_the_systems_priority_classes_that_the_pods_have(
    helm: Helm, values: dict[str, Any], classes: list[str]
) -> None:
    quotas = helm.render(values).of("ResourceQuota").values()
    found = [name for quota in quotas for name in quota["spec"]["scopeSelector"]["matchExpressions"][0]["values"]]
    assert found == classes


def test_the_agent_is_not_confined_by_selinux_unless_told_so(helm: Helm) -> None:
    assert helm.render().container("DaemonSet")["securityContext"]["seLinuxOptions"] == {"type": "spc_t"}
    own = helm.render({"node.seLinuxOptions": None}).container("DaemonSet")["securityContext"]
    assert "seLinuxOptions" not in own


def test_hooks_have_all_requests_and_limits_and_others_can_be_given(helm: Helm) -> None:
    own = {"cleanup.resources.limits.cpu": "1", "test.resources.limits.cpu": "1"}
    for values, expected in (({}, "500m"), (own, "1")):
        found = helm.render({**values, "purge": True})
        jobs = [each["spec"]["template"]["spec"] for each in found.of("Job").values()]
        containers = [pod["containers"][0] for pod in (*jobs, found.one("Pod")["spec"])]
        assert len(containers) == 3
        for each in containers:
            resources = each["resources"]
            assert set(resources["requests"]) == set(resources["limits"]) == {"cpu", "memory"}
            assert resources["limits"]["cpu"] == expected


def test_a_cleanup_ends_before_its_job_does(helm: Helm) -> None:
    for job in helm.render({"purge": True, "cleanup.seconds": 90}).of("Job").values():
        arguments = job["spec"]["template"]["spec"]["containers"][0]["args"]
        assert (arguments[-1], job["spec"]["activeDeadlineSeconds"]) == ("--wait=60", 90)


def test_no_role_has_a_wildcard(helm: Helm) -> None:
    rules = [rule for each in helm.render({"purge": True}).all for rule in each.get("rules", [])]
    assert len(rules) > 15
    assert not any("*" in rule[part] for rule in rules for part in ("apiGroups", "resources", "verbs"))


def test_only_a_purge_may_delete_runtimes_at_uninstall(helm: Helm) -> None:
    for purge in (False, True):
        role = helm.render({"purge": purge}).one("ClusterRole", "edge-controller-cleanup")
        assert ("delete" in role["rules"][0]["verbs"]) is purge


def test_the_network_policy_allows_metrics_from_the_named_peers(helm: Helm) -> None:
    closed = helm.render({"networkPolicy.enabled": True}).one("NetworkPolicy")["spec"]
    assert (closed["policyTypes"], closed["ingress"]) == (["Ingress"], [])
    peer = {"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}
    opened = helm.render({"networkPolicy.enabled": True, "networkPolicy.metricsFrom": [peer]}).one("NetworkPolicy")
    assert opened["spec"]["ingress"] == [{"from": [peer], "ports": [{"port": "http", "protocol": "TCP"}]}]


def test_labels_and_annotations_reach_every_object(helm: Helm) -> None:
    found = helm.render({"labels": {"line": "north"}, "podAnnotations": {"note": "x"}, "purge": True})
    assert all(each["metadata"]["labels"]["line"] == "north" for each in found.all)
    for kind in ("Deployment", "DaemonSet"):
        assert found.one(kind)["spec"]["template"]["metadata"]["annotations"]["note"] == "x"


def test_the_chart_has_the_version_of_the_program() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert (chart["version"], chart["appVersion"]) == (__version__, __version__)
