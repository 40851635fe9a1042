"""Kubernetes' scale subresource: what is read and written, and whose it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lifeline.errors import UsageError
from lifeline.scaling import TargetError
from lifeline.scaling.plugins import make
from support.vendors import TOKEN, Kubernetes, autoscaler, certificate

SCALE = "/apis/apps/v1/namespaces/shop/deployments/worker/scale"


def target_at(server: Kubernetes, **more: object) -> Any:
    given = {"kind": "kubernetes", "name": "worker", "namespace": "shop", "token": TOKEN}
    return make("target", {**given, "url": server.url, **more})


def test_the_desired_replicas_are_read_not_the_pods(kubernetes: Kubernetes) -> None:
    """spec.replicas counts; status.replicas, 7 pods here, lags behind it."""
    assert target_at(kubernetes).read() == 2


def test_replicas_that_are_left_out_are_zero(kubernetes: Kubernetes) -> None:
    """The API leaves out what is zero: that is a number, not a missing answer."""
    kubernetes.replicas = 0
    assert target_at(kubernetes).read() == 0


def test_a_write_is_a_merge_patch_of_the_scale(kubernetes: Kubernetes) -> None:
    """Nothing of the deployment but its replicas is touched."""
    target_at(kubernetes).write(3)
    (request,) = kubernetes.writes()
    assert (request.path, request.body) == (SCALE, {"spec": {"replicas": 3}})
    assert kubernetes.replicas == 3


@pytest.mark.parametrize("resource", ["statefulset", "replicaset"])
def test_other_resources_have_paths_of_their_own(kubernetes: Kubernetes, resource: str) -> None:
    """The same name as another kind of thing is another thing."""
    with pytest.raises(TargetError, match="404 NotFound"):
        target_at(kubernetes, resource=resource).read()
    assert kubernetes.requests[-1].path == SCALE.replace("deployments", f"{resource}s")


def test_an_autoscaler_that_owns_it_is_told_at_once(kubernetes: Kubernetes) -> None:
    """A HorizontalPodAutoscaler of the same deployment: neither read nor written."""
    owner = autoscaler("HorizontalPodAutoscaler", "web-hpa", kind="Deployment", name="worker")
    kubernetes.autoscalers.append(owner)
    target = target_at(kubernetes)
    for call in (target.read, lambda: target.write(3)):
        with pytest.raises(TargetError, match="'web-hpa' scales deployment worker already"):
            call()
    assert kubernetes.writes() == []


@pytest.mark.parametrize("target", [{"name": "worker"}, {"kind": "Deployment", "name": "worker"}])
def test_kedas_scaled_object_is_told_by_its_name(
    kubernetes: Kubernetes, target: dict[str, str]
) -> None:
    """Also where it leaves the kind out, which is a Deployment then."""
    kubernetes.scaled_objects = [autoscaler("ScaledObject", "by-queue", **target)]
    kubernetes.autoscalers.append(
        autoscaler("HorizontalPodAutoscaler", "keda-hpa-by-queue", kind="Deployment", name="worker")
    )
    with pytest.raises(TargetError, match="KEDA's ScaledObject 'by-queue'"):
        target_at(kubernetes).write(3)
    assert kubernetes.writes() == []


def test_one_that_comes_later_is_seen_before_the_next_write(kubernetes: Kubernetes) -> None:
    """Each write looks again."""
    target = target_at(kubernetes)
    assert target.read() == 2
    target.write(3)
    kubernetes.autoscalers.append(
        autoscaler("HorizontalPodAutoscaler", "new", kind="Deployment", name="worker")
    )
    with pytest.raises(TargetError, match="'new'"):
        target.write(4)
    assert kubernetes.replicas == 3


def test_autoscalers_of_others_do_not_matter(kubernetes: Kubernetes) -> None:
    """Another name or another kind is somebody else's."""
    kubernetes.autoscalers += [
        autoscaler("HorizontalPodAutoscaler", "a", kind="Deployment", name="web"),
        autoscaler("HorizontalPodAutoscaler", "b", kind="StatefulSet", name="worker"),
    ]
    kubernetes.scaled_objects = [autoscaler("ScaledObject", "c", name="web")]
    target_at(kubernetes).write(3)
    assert kubernetes.replicas == 3


@pytest.mark.parametrize("plural", ["horizontalpodautoscalers", "scaledobjects"])
def test_without_the_right_to_look_nothing_is_written(kubernetes: Kubernetes, plural: str) -> None:
    """It cannot be seen whether something else scales it: the message says which right to give."""
    kubernetes.forbidden = {plural}
    with pytest.raises(TargetError, match=f"let the service account list {plural}"):
        target_at(kubernetes).write(3)
    assert kubernetes.writes() == []


def test_without_the_right_to_scale_the_platforms_words_are_told(kubernetes: Kubernetes) -> None:
    """403 on the scale itself."""
    kubernetes.forbidden = {"deployments"}
    with pytest.raises(TargetError, match=r"403 Forbidden.*system:serviceaccount:shop:scaler"):
        target_at(kubernetes).write(3)


def test_in_a_pod_everything_is_the_service_accounts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Address, namespace, certificates and token are found; one that is replaced is read."""
    pem, context = certificate(tmp_path)
    server = Kubernetes(context, replicas=6)
    account = tmp_path / "account"
    account.mkdir()
    (account / "ca.crt").write_bytes(pem.read_bytes())
    (account / "namespace").write_text("shop")
    (account / "token").write_text(TOKEN + "\n")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(server.port))
    try:
        target = make("target", {"kind": "kubernetes", "name": "worker", "account": str(account)})
        assert target.read() == 6
        server.token = "another-one"
        (account / "token").write_text(server.token)
        assert target.read() == 6
        (account / "token").unlink()
        with pytest.raises(TargetError, match="service account's token"):
            target.read()
    finally:
        server.close()


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"name": None}, "needs name"),
        ({"name": "../x"}, "name is no name"),
        ({"resource": "pod"}, "deployment or statefulset or replicaset"),
        ({"url": None}, "needs url"),
        ({"namespace": None}, "needs namespace"),
        ({"token": None}, "needs token"),
        ({"ca": "/nowhere.pem"}, "ca: /nowhere.pem cannot be read"),
        ({"replicas": 3}, "unknown option of kubernetes 'replicas'"),
    ],
)
def test_options_that_cannot_be_meant(
    options: dict[str, object], part: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """One line and exit code 2, before any call."""
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    given = {"kind": "kubernetes", "name": "w", "namespace": "n", "token": TOKEN, **options}
    given = {"url": "https://k8s.invalid", "account": str(tmp_path / "none"), **given}
    with pytest.raises(UsageError) as caught:
        make("target", {name: value for name, value in given.items() if value is not None})
    assert part in str(caught.value)
    assert TOKEN not in str(caught.value) and caught.value.exit_code == 2


def test_a_pods_token_goes_nowhere_else(tmp_path: Path) -> None:
    """With a `url` of its own, a target needs a token of its own."""
    (tmp_path / "token").write_text(TOKEN)
    options = {"kind": "kubernetes", "name": "w", "namespace": "n", "account": str(tmp_path)}
    with pytest.raises(UsageError, match="needs token"):
        make("target", {**options, "url": "https://elsewhere.invalid"})
