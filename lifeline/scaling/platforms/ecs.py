"""Amazon ECS: the desired count of a service.

    target = { kind = "ecs", cluster = "prod", service = "worker", region = "eu-west-1" }

Needs boto3: credentials come from wherever it finds them (a task's role, a profile, the
environment), and are no option here. What `read` tells is `desiredCount`, what ECS keeps running:
`runningCount` lags behind it while tasks start, and the same number would be asked for again.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from ...errors import UsageError, show
from .. import checking, given
from ..bounded import TIMEOUT, Bounded, Deadline
from ..errors import TargetError
from ..options import Options

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
        if answer.get("ScalableTargets"):
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
        """A client that gives up at the deadline: half of the time is for connecting."""
        boto3 = _boto3()
        errors = importlib.import_module("botocore.exceptions")
        half = deadline.left_for(f"ECS: the call to {api}") / 2
        # The scaler itself tries again, at its next tick.
        config = importlib.import_module("botocore.config").Config(
            connect_timeout=half, read_timeout=half, retries={"total_max_attempts": 1}
        )
        try:
            return boto3.client(
                api, region_name=self._region, endpoint_url=self._url, config=config
            )
        except (errors.BotoCoreError, ValueError) as error:
            raise UsageError(f"ECS: {_reason(error)}") from None


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
        "EndpointConnectionError": "not reached",
        "ConnectTimeoutError": "no answer in time",
        "ReadTimeoutError": "no answer in time",
        "ConnectionClosedError": "the connection was closed",
        "SSLError": "its certificate is not trusted, or there is no TLS",
    }
    return plain.get(name, name)
