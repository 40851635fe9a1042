"""Kubernetes: the scale subresource of a Deployment, StatefulSet or ReplicaSet.

    target = { kind = "kubernetes", name = "worker" }

In a pod, the address, the namespace, the certificates and the token are those of its service
account; outside, `url`, `namespace`, `ca` and `token` say them. What `read` tells is
`spec.replicas`, what the controller keeps running: `status.replicas` lags behind it while pods are
made, and the same number would be asked for again until they are there. Source: the Kubernetes
API, autoscaling/v1 Scale.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from ...errors import UsageError
from .. import checking, given
from ..bounded import TIMEOUT, Bounded, Deadline
from ..errors import TargetError
from ..options import Options
from ..rest import Client, Refused

ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
SETS = {"name": None, "resource": "deployment", "namespace": None, "url": None}
_OPTIONS = ("name", "resource", "namespace", "url", "token", "ca", "account", "timeout")
_KINDS = {"deployment": "Deployment", "statefulset": "StatefulSet", "replicaset": "ReplicaSet"}
_MERGE = "application/merge-patch+json"
_AUTOSCALERS = "/apis/autoscaling/v2", "horizontalpodautoscalers", "the HorizontalPodAutoscaler"
_KEDA = "/apis/keda.sh/v1alpha1", "scaledobjects", "KEDA's ScaledObject"


def make(options: Mapping[str, object]) -> Scale:
    """The target that `options` describe. Raises UsageError."""
    checking.known(options, _OPTIONS, "option of kubernetes")
    read = Options(options, "kubernetes")
    account = read.text("account", ACCOUNT)
    return Scale(
        given.name("name", read.text("name")),
        checking.one_of(*_KINDS)("resource", options.get("resource", "deployment")),
        given.name("namespace", read.text("namespace", _own_namespace(account))),
        url=read.text("url", _own_url()),
        token=_token(read, "token" in options, "url" in options, account),
        ca=read.text("ca") if "ca" in options else _own_ca(account, "url" in options),
        timeout=read.seconds("timeout", TIMEOUT),
    )


def _own_url() -> str | None:
    host = os.environ.get("KUBERNETES_SERVICE_HOST")
    port = os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not host:
        return None
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"


def _own_namespace(account: str) -> str | None:
    try:
        return _read(os.path.join(account, "namespace"))
    except OSError:
        return None


def _own_ca(account: str, elsewhere: bool) -> str | None:
    path = os.path.join(account, "ca.crt")
    return path if not elsewhere and os.path.exists(path) else None


def _token(read: Options, said: bool, elsewhere: bool, account: str) -> Callable[[], str]:
    """The given token; in a pod, its own, which is sent to no other place."""
    path = os.path.join(account, "token")
    if said or elsewhere or not os.path.exists(path):
        token = given.text("token", read.text("token"))
        return lambda: token

    def read_again() -> str:  # it is replaced every hour
        try:
            return _read(path)
        except OSError as error:
            raise TargetError(f"the service account's token: {error.strerror}") from None

    return read_again


def _read(path: str) -> str:
    with open(path, encoding="ascii", errors="replace") as file:
        text = file.read().strip()
    if not text or not text.isprintable():
        raise UsageError(f"{path} holds nothing that can be used")
    return text


class Scale(Bounded):
    """So many replicas of one resource, unless something else scales it already."""

    def __init__(
        self,
        name: str,
        resource: str = "deployment",
        namespace: str = "default",
        *,
        url: str,
        token: Callable[[], str],
        ca: str | None = None,
        timeout: float = TIMEOUT,
    ) -> None:
        super().__init__(timeout)
        self._name = name
        self._kind = _KINDS[resource]
        self._namespace = quote(namespace, safe="")
        self._client = Client("Kubernetes", url, token, ca=ca)
        self._is_ours = False

    def read(self) -> int:
        """How many replicas are asked for. Raises TargetError."""
        deadline = self.deadline()
        if not self._is_ours:
            self._refuse_two_scalers(deadline)  # a dry run should tell, too
        scale = self._client.call(deadline, "GET", self._path)
        spec = scale.get("spec") if isinstance(scale, dict) else None
        if not isinstance(spec, dict):
            raise TargetError("Kubernetes answers with something that is no Scale")
        # Its JSON leaves out what is zero.
        return given.workers(spec.get("replicas", 0), "the spec.replicas that Kubernetes tells")

    def write(self, n: int) -> None:
        """Ask for `n` replicas. Raises TargetError, also if something else scales them."""
        deadline = self.deadline()
        self._refuse_two_scalers(deadline)
        self._client.call(deadline, "PATCH", self._path, {"spec": {"replicas": n}}, _MERGE)

    @property
    def _path(self) -> str:
        plural = self._kind.lower() + "s"
        name = quote(self._name, safe="")
        return f"/apis/apps/v1/namespaces/{self._namespace}/{plural}/{name}/scale"

    def _refuse_two_scalers(self, deadline: Deadline) -> None:
        self._is_ours = False
        # KEDA's first: it makes an autoscaler of its own, which is not what people have written.
        for group, plural, what in (_KEDA, _AUTOSCALERS):
            path = f"{group}/namespaces/{self._namespace}/{plural}"
            for owner in self._list(deadline, path, plural):
                if self._is_target_of(owner):
                    name = owner.get("metadata", {}).get("name", "")
                    raise TargetError(
                        f"{what} {name!r:.80} scales {self._kind.lower()} {self._name} already: "
                        "two scalers would work against each other"
                    )
        self._is_ours = True

    def _list(self, deadline: Deadline, path: str, plural: str) -> list[dict[str, Any]]:
        try:
            found = self._client.call(deadline, "GET", path)
        except Refused as refused:
            if refused.status == 404 and plural == _KEDA[1]:
                return []  # KEDA is not installed
            if refused.status == 403:
                raise TargetError(
                    f"whether something else scales {self._name} cannot be seen: let the service "
                    f"account list {plural} ({refused})"
                ) from None
            raise
        items = found.get("items") if isinstance(found, dict) else None
        if not isinstance(items, list):
            raise TargetError(f"Kubernetes answers with something that is no list of {plural}")
        return [item for item in items if isinstance(item, dict)]

    def _is_target_of(self, owner: dict[str, Any]) -> bool:
        spec = owner.get("spec")
        target = spec.get("scaleTargetRef") if isinstance(spec, dict) else None
        if not isinstance(target, dict):
            return False
        kind = target.get("kind", "Deployment")  # KEDA's default
        return bool(target.get("name") == self._name and kind == self._kind)
