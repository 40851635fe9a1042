"""Amazon ECS: the desired count of a service.

    target = { kind = "ecs", cluster = "prod", service = "worker", region = "eu-west-1" }

Needs boto3: credentials come from wherever it finds them (a task's role, a profile, the
environment), and are no option here. What `read` tells is `desiredCount`, what ECS keeps running:
`runningCount` lags behind it while tasks start, and the same number would be asked for again.
boto3 makes and signs the requests; they are sent as those to other platforms are, because its own
timeouts are one of each wait.
"""

from __future__ import annotations

import importlib
import os
import ssl
from collections.abc import Iterator, Mapping
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

from ...errors import UsageError, show
from .. import checking, given
from ..bounded import TIMEOUT, Bounded, Deadline
from ..errors import TargetError
from ..options import Options
from ..rest import Host, exchange, reason

SETS = {"cluster": "default", "service": None, "region": None, "url": None}
_OPTIONS = ("cluster", "service", "region", "url", "timeout")


def make(options: Mapping[str, object]) -> Service:
    """The target that `options` describe. Raises UsageError."""
    checking.known(options, _OPTIONS, "option of ecs")
    read = Options(options, "ecs")
    return Service(
        given.text("cluster", read.text("cluster", "default")),
        given.text("service", read.text("service")),
        region=read.text("region") if "region" in options else None,
        url=read.text("url") if "url" in options else None,
        timeout=read.seconds("timeout", TIMEOUT),
    )


_NONSENSE = (ValueError, TypeError, AttributeError)  # what botocore makes of such an answer


class Service(Bounded):
    """So many tasks of one service, unless Application Auto Scaling scales it already.

    `cluster` and `service` are names or ARNs.
    """

    def __init__(
        self,
        cluster: str,
        service: str,
        *,
        region: str | None = None,
        url: str | None = None,
        timeout: float = TIMEOUT,
    ) -> None:
        super().__init__(timeout)
        self._cluster = cluster
        self._service = service
        self._region = region
        self._url = url
        self._is_ours = False
        self._client("ecs", Deadline(timeout))  # a missing region is told at the start

    def read(self) -> int:
        """The desired count. Raises TargetError."""
        deadline = self.deadline()
        if not self._is_ours:
            self._refuse_two_scalers(deadline)  # a dry run should tell, too
        asked = {"cluster": self._cluster, "services": [self._service]}
        answer = self._call(deadline, "ecs", "describe_services", asked)
        services = answer.get("services") or ()
        found = [each for each in services if each and each.get("status") == "ACTIVE"]
        if not found:
            where = f"cluster {self._cluster!r:.60}"
            raise TargetError(f"ECS: {where} has no active service {self._service!r:.60}")
        return given.workers(found[0].get("desiredCount"), "the desiredCount that ECS tells")

    def write(self, n: int) -> None:
        """Set the desired count. Raises TargetError, also if something else scales the service."""
        deadline = self.deadline()
        self._refuse_two_scalers(deadline)
        asked = {"cluster": self._cluster, "service": self._service, "desiredCount": n}
        self._call(deadline, "ecs", "update_service", asked)

    def _refuse_two_scalers(self, deadline: Deadline) -> None:
        self._is_ours = False
        cluster, service = (name.rpartition("/")[2] for name in (self._cluster, self._service))
        asked = {"ServiceNamespace": "ecs", "ResourceIds": [f"service/{cluster}/{service}"]}
        answer = self._call(deadline, "application-autoscaling", "describe_scalable_targets", asked)
        if not isinstance(answer.get("ScalableTargets"), list):
            raise TargetError("ECS: whether something else scales the service was not answered")
        if answer["ScalableTargets"]:
            raise TargetError(
                f"Application Auto Scaling scales service {service!r:.60} already: two scalers "
                "would work against each other"
            )
        self._is_ours = True

    def _call(
        self, deadline: Deadline, api: str, verb: str, asked: Mapping[str, object]
    ) -> dict[str, Any]:
        errors = importlib.import_module("botocore.exceptions")
        client = self._client(api, deadline)
        try:
            answer: dict[str, Any] = getattr(client, verb)(**asked)
        except errors.ClientError as error:
            raise TargetError(f"ECS: {verb}: {_refusal(error.response)}") from None
        except (errors.BotoCoreError, *_NONSENSE) as error:
            raise TargetError(f"ECS: {verb}: {_reason(error)}") from None
        return answer

    def _client(self, api: str, deadline: Deadline) -> Any:
        """A client that gives up at the deadline."""
        boto3 = _boto3()
        errors = importlib.import_module("botocore.exceptions")
        deadline.left_for(f"ECS: the call to {api}")
        # The scaler itself tries again, at its next tick.
        config = importlib.import_module("botocore.config").Config(
            retries={"total_max_attempts": 1}
        )
        try:
            client = boto3.client(
                api, region_name=self._region, endpoint_url=self._url, config=config
            )
        except (errors.BotoCoreError, ValueError) as error:
            raise UsageError(f"ECS: {_reason(error)}") from None
        client.meta.events.register("before-send", lambda request, **_: _sent(request, deadline))
        return client


def _sent(request: Any, deadline: Deadline) -> Any:
    """The answer to a request that botocore has signed, in its own form. Raises TargetError.

    botocore asks whoever has registered for `before-send` for an answer before it sends itself.
    """
    messages = importlib.import_module("botocore.awsrequest")
    parts = urlsplit(request.url)
    is_secure = parts.scheme == "https"
    host = Host(
        parts.hostname or "",
        parts.port or (443 if is_secure else 80),
        _trusting() if is_secure else None,
    )
    path = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    headers = {name: _text(value) for name, value in request.headers.items()}
    deadline.left_for("ECS: the call")
    try:
        status, given_headers, content = exchange(
            host, deadline, request.method, path, request.body, {**headers, "Connection": "close"}
        )
    except (OSError, HTTPException, ValueError) as error:
        raise TargetError(f"ECS: {reason(error, deadline.seconds)}") from None
    return messages.AWSResponse(request.url, status, given_headers, _Raw(content))


def _trusting() -> ssl.SSLContext:
    """The certificates that boto3 would trust: those of AWS_CA_BUNDLE, else its own."""
    bundle = os.environ.get("AWS_CA_BUNDLE")
    own = importlib.import_module("botocore.httpsession").get_cert_path(True)
    try:
        return ssl.create_default_context(cafile=bundle or own)
    except OSError as error:
        why = error.strerror or "no certificate in it"
        raise TargetError(f"ECS: AWS_CA_BUNDLE cannot be read ({why})") from None


def _text(value: object) -> str:
    return value.decode("ascii") if isinstance(value, bytes) else str(value)


class _Raw:
    """A body that has come, as botocore reads one that is coming."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def stream(self, **_: object) -> Iterator[bytes]:
        yield self._content


def _boto3() -> Any:
    try:
        return importlib.import_module("boto3")
    except ImportError:
        raise UsageError(
            "the target ecs needs boto3: pip install 'lifeline-run[dynamodb]'"
        ) from None


def _refusal(response: Mapping[str, Any]) -> str:
    """AWS's own code and words. Those on a wrong signature hold parts of the request: left out."""
    error = response.get("Error", {})
    code = str(error.get("Code") or response["ResponseMetadata"].get("HTTPStatusCode"))
    words = "" if "Signature" in code else " ".join(str(error.get("Message") or "").split())
    told = f"{code}: {words}" if words else code
    return show(told.encode(errors="backslashreplace"))


def _reason(error: Exception) -> str:
    """botocore's words where they are known to hold no secret, else what kind of error it is."""
    name = type(error).__name__
    plain = {
        "NoCredentialsError": "no AWS credentials were found",
        "NoRegionError": "no region: give one, or set AWS_DEFAULT_REGION",
    }
    return plain.get(name, name)
