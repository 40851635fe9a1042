"""ECS' desired count, against moto's ECS; what goes wrong, against a server that answers badly."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lifeline.errors import UsageError
from lifeline.scaling import TargetError
from lifeline.scaling.plugins import make
from support.servers import ecs, free_port
from support.servers.dynamodb import CREDENTIALS
from support.vendors import Answer, Request, Vendor, certificate

SECRET = "hunter2-this-is-the-secret-key"


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the user's own is read or asked for."""
    for name, value in {**CREDENTIALS, "AWS_SECRET_ACCESS_KEY": SECRET}.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)


class Aws(Vendor):
    """Answers what it is told to, and else that there is nothing."""

    def answer(self, request: Request) -> Answer:
        return Answer(200, {"ScalableTargets": [], "services": [], "failures": []})


@pytest.fixture
def aws() -> Iterator[Aws]:
    server = Aws()
    yield server
    server.close()


def target_at(url: str, service: str = "work", **more: object) -> Any:
    given = {"kind": "ecs", "cluster": "shop", "service": service, "region": ecs.REGION}
    return make("target", {**given, "url": url, **more})


def a_name() -> str:
    return f"work-{uuid.uuid4().hex[:8]}"


def test_the_desired_count_is_read_and_written() -> None:
    """Absolute, zero included; ECS itself says the same."""
    name = a_name()
    url = ecs.new_service(name, 2)
    target = target_at(url, name)
    assert target.read() == 2
    for n in (5, 0, 1):
        target.write(n)
        assert target.read() == n
    told = ecs.client("ecs", url).describe_services(cluster="shop", services=[name])
    assert told["services"][0]["desiredCount"] == 1


def test_a_service_that_is_scaled_already_is_refused() -> None:
    """Application Auto Scaling has it: neither read nor written. Taken away, it is ours."""
    name = a_name()
    url = ecs.new_service(name, 2)
    scaling = ecs.client("application-autoscaling", url)
    which = {
        "ServiceNamespace": "ecs",
        "ResourceId": f"service/shop/{name}",
        "ScalableDimension": "ecs:service:DesiredCount",
    }
    scaling.register_scalable_target(**which, MinCapacity=1, MaxCapacity=9)
    target = target_at(url, name)
    for call in (target.read, lambda: target.write(3)):
        with pytest.raises(TargetError, match="Application Auto Scaling scales service"):
            call()
    scaling.deregister_scalable_target(**which)
    assert target.read() == 2


def test_a_service_that_there_is_not_is_told() -> None:
    """ECS answers 200 with a failure in it: that is not zero."""
    url = ecs.new_service(a_name(), 1)
    with pytest.raises(TargetError, match="no active service 'nobody'"):
        target_at(url, "nobody").read()


def test_a_cluster_that_there_is_not_is_told() -> None:
    """With AWS' own code."""
    url = ecs.new_service(a_name(), 1)
    with pytest.raises(TargetError, match="ClusterNotFoundException"):
        target_at(url, cluster="nowhere").read()


@pytest.mark.parametrize(
    ("status", "kind", "part"),
    [
        (400, "AccessDeniedException", "AccessDeniedException: not allowed"),
        (400, "ThrottlingException", "ThrottlingException"),
        (400, "ServiceNotFoundException", "ServiceNotFoundException"),
        (500, "ServerException", "ServerException"),
        (503, "", "503"),
    ],
)
def test_a_refusal_is_told_and_not_tried_again(aws: Aws, status: int, kind: str, part: str) -> None:
    """One call, one line, AWS' own words."""
    aws.instead = [Answer(status, {"__type": kind, "message": "not\nallowed"} if kind else b"")]
    with pytest.raises(TargetError) as caught:
        target_at(aws.url).write(3)
    assert part in str(caught.value) and str(caught.value).isprintable()
    assert len(aws.requests) == 1


@pytest.mark.parametrize("content", [b"<html>", b"", b"[]", b"null"])
def test_an_answer_that_makes_no_sense_is_an_error(aws: Aws, content: bytes) -> None:
    """Nonsense is never a number of tasks."""
    aws.instead = [Answer(200, {"ScalableTargets": []}), Answer(200, content)]
    with pytest.raises(TargetError):
        target_at(aws.url).read()


@pytest.mark.parametrize("headers", [{}, {"Content-Length": "400"}])
def test_part_of_an_answer_is_not_that_nobody_else_scales(
    aws: Aws, headers: dict[str, str]
) -> None:
    """Without the list of scalable targets it is not known that there is none."""
    said = b'{"ScalableTargets": []}' if headers else b'{"Scal'
    aws.instead = [Answer(200, said, headers)]
    with pytest.raises(TargetError):
        target_at(aws.url).write(3)
    assert len(aws.requests) == 1


@pytest.mark.parametrize("desired", [None, -1, "2"])
def test_a_count_that_is_none_is_an_error(aws: Aws, desired: object) -> None:
    """Nor is a service without a desired count."""
    service = {"status": "ACTIVE", "desiredCount": desired}
    aws.instead = [Answer(200, {"ScalableTargets": []}), Answer(200, {"services": [service]})]
    with pytest.raises(TargetError):
        target_at(aws.url).read()


def test_nothing_secret_is_told(aws: Aws) -> None:
    """What AWS says about a wrong signature holds the request: only the code is shown."""
    said = {"__type": "InvalidSignatureException", "message": f"The Canonical String: {SECRET}"}
    aws.instead = [Answer(403, said)]
    with pytest.raises(TargetError) as caught:
        target_at(aws.url).read()
    assert "InvalidSignatureException" in str(caught.value)
    assert SECRET not in str(caught.value) and "Canonical" not in str(caught.value)


def test_nobody_listening_is_told() -> None:
    """A refused connection is one line."""
    with pytest.raises(TargetError, match="not reached"):
        target_at(f"http://127.0.0.1:{free_port()}").read()


@pytest.mark.parametrize("mood", ["hang", "drip"])
def test_a_server_that_hangs_is_left(aws: Aws, mood: str) -> None:
    """Neither silence nor a byte now and then keeps a call longer than its timeout."""
    target = target_at(aws.url)
    target.timeout = 2
    aws.mood = mood
    with pytest.raises(TargetError, match="no answer within 2 s"):
        target.read()
    assert len(aws.requests) == 1


def test_tls_trusts_what_boto3_is_told_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The certificates of AWS_CA_BUNDLE; without them nothing is sent."""
    pem, context = certificate(tmp_path)
    server = Aws(context)
    try:
        server.instead = [Answer(200, {"ScalableTargets": []}), Answer(200, {})]
        with pytest.raises(TargetError, match="certificate is not trusted"):
            target_at(server.url).write(3)
        assert server.requests == []
        monkeypatch.setenv("AWS_CA_BUNDLE", str(pem))
        target_at(server.url).write(3)
        assert [each.body for each in server.requests][1]["desiredCount"] == 3
    finally:
        server.close()


def test_without_time_nothing_is_sent(aws: Aws) -> None:
    """A call whose time is over before it begins does not reach AWS."""
    target = target_at(aws.url)
    target.timeout = 0
    with pytest.raises(TargetError, match="was not begun"):
        target.write(1)
    assert aws.requests == []


def test_missing_credentials_are_told(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where boto3 finds none, one line says so."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    import boto3

    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # it remembers what it found
    with pytest.raises(TargetError, match="no AWS credentials"):
        target_at(aws.url).read()


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"service": None}, "needs service"),
        ({"region": None}, "no region"),
        ({"servise": "x"}, "did you mean 'service'"),
        ({"url": "nonsense"}, "ECS: "),
        ({"timeout": -1}, "timeout"),
    ],
)
def test_options_that_cannot_be_meant(options: dict[str, object], part: str) -> None:
    """One line and exit code 2, before any call."""
    given = {"kind": "ecs", "service": "work", "region": ecs.REGION, **options}
    with pytest.raises(UsageError) as caught:
        make("target", {name: value for name, value in given.items() if value is not None})
    assert part in str(caught.value) and caught.value.exit_code == 2
