"""Queues behind an HTTP API: RabbitMQ's management plug-in, and SQS."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPException
from typing import Any
from urllib.request import urlopen

import pytest

from lifeline.scaling.sample import Sample
from support.probing import probe, refused
from support.servers import Server, free_port, rabbitmq
from support.vendors import Answer, Request, Vendor


@pytest.mark.needs("rabbitmq")
def test_celery_on_rabbitmq_counts_what_no_worker_has_fetched(app: Any, settles: Any) -> None:
    """10 of one queue and 2 for later lie ready, 1 in another; a worker of one takes 6 of them.

    One of those failed, one is to be tried again and lies there anew.
    """
    vhost = rabbitmq.server().new_vhost()
    url = f"amqp://guest:guest@127.0.0.1:{rabbitmq.server().port}/{vhost}"
    celery = app("celery_app", url)
    celery.run("enqueue")
    here = {"url": rabbitmq.server().api, "vhost": vhost}
    mine = probe("celery-rabbitmq", **here)
    settles(probe("celery-rabbitmq", **here, queues=["celery", "mail"]), Sample(13, exact=False))
    celery.start("work", "celery")
    celery.wait_for_jobs(1)
    settles(mine, Sample(7, 3, exact=False))
    celery.let_go()
    settles(mine, Sample(0, 3, exact=False))


@pytest.mark.needs("rabbitmq")
def test_rabbitmq_refuses_in_one_line(settles: Any) -> None:
    """A missing queue, a missing vhost and a wrong password are errors and not zero."""
    api, vhost = rabbitmq.server().api, rabbitmq.server().new_vhost()
    assert "no such queue" in refused(probe("celery-rabbitmq", url=api, vhost=vhost))
    assert "no such queue" in refused(probe("celery-rabbitmq", url=api, vhost="none"))
    wrong = api.replace("guest:guest", "guest:hush")
    assert "password" in refused(probe("celery-rabbitmq", url=wrong, vhost=vhost))


def test_a_rabbitmq_that_is_not_there_is_an_error() -> None:
    """A refused connection is told with the host and without the password."""
    url = f"http://user:hush@127.0.0.1:{free_port()}"
    assert "user@127.0.0.1" in refused(probe("celery-rabbitmq", url=url))


class Api(Vendor):
    """Answers what it is told to."""

    def answer(self, request: Request) -> Answer:
        return Answer(404, {})


@pytest.fixture
def api() -> Iterator[Api]:
    server = Api()
    yield server
    server.close()


@pytest.mark.parametrize("padding", [0, 2 << 20])
def test_part_of_an_answer_of_rabbitmqs_is_an_error(api: Api, padding: int) -> None:
    """Broken off, or so long that only the beginning would be read: it was JSON that far."""
    said = b'{"messages_ready": 0, "messages_unacknowledged": 0}' + b" " * padding
    api.instead = [Answer(200, said, {} if padding else {"Content-Length": "400"})]
    assert ("TooLong" if padding else "IncompleteRead") in refused(
        probe("celery-rabbitmq", url=api.url)
    )


@pytest.fixture(scope="module")
def sqs() -> Iterator[str]:
    """The URL of a service that speaks SQS."""

    def answers(port: int) -> bool:
        with suppress(OSError, HTTPException):
            urlopen(f"http://127.0.0.1:{port}/moto-api/", timeout=5).close()
            return True
        return False

    words = [sys.executable, "-c", "from moto.server import main; main()", "-H", "127.0.0.1"]
    server = Server("moto", lambda _, port: [*words, "-p", str(port)], answers)
    server.start()
    yield f"http://127.0.0.1:{server.port}"
    server.close()


@pytest.fixture
def aws(sqs: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A client of that service."""
    import boto3

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "hush")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    return boto3.client("sqs", region_name="us-east-1", endpoint_url=sqs)


def test_sqs_tells_visible_received_and_delayed_messages(aws: Any, sqs: str) -> None:
    """Of 6 sent, 1 is delayed and 2 were received: 3 ready, 2 busy, 1 for later, by name or URL."""
    url = aws.create_queue(QueueName="jobs")["QueueUrl"]
    for number in range(5):
        aws.send_message(QueueUrl=url, MessageBody=str(number))
    aws.send_message(QueueUrl=url, MessageBody="later", DelaySeconds=900)
    for _ in range(2):
        assert len(aws.receive_message(QueueUrl=url, MaxNumberOfMessages=1)["Messages"]) == 1
    here = {"region": "us-east-1", "endpoint": sqs}
    assert probe("sqs", queues=["jobs"], **here)() == Sample(3, 2, 1, exact=False)
    assert probe("sqs", queues=[url], **here)() == Sample(3, 2, 1, exact=False)


def test_sqs_refuses_in_one_line(aws: Any, sqs: str) -> None:
    """A missing queue and a service that is not there are errors."""
    here = {"region": "us-east-1"}
    assert "NonExistent" in refused(probe("sqs", queues=["none"], endpoint=sqs, **here))
    gone = f"http://127.0.0.1:{free_port()}"
    assert "Endpoint" in refused(probe("sqs", queues=["jobs"], endpoint=gone, **here))


@pytest.mark.parametrize("content", [b"{}", b'{"QueueUrl": "http://x", "Attributes": {"Appro', b""])
def test_part_of_an_answer_of_sqs_is_an_error(aws: Any, api: Api, content: bytes) -> None:
    """Broken off or of another kind, it is never a number."""
    api.instead = [Answer(200, content, {"Content-Length": "90"} if content != b"{}" else {})]
    refused(probe("sqs", queues=["jobs"], region="us-east-1", endpoint=api.url))
