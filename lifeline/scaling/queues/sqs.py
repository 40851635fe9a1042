"""Amazon SQS: what GetQueueAttributes says. All its numbers are approximate.

They may lag by a minute, so no sample is exact. A queue that does not exist is an error.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...errors import UsageError, show
from ..errors import ProbeError
from ..sample import Sample, total
from . import settings

_READY = "ApproximateNumberOfMessages"
_BUSY = "ApproximateNumberOfMessagesNotVisible"
_FUTURE = "ApproximateNumberOfMessagesDelayed"


class Sqs:
    """Counts the messages of `queues`, which are names or URLs. Each call is made once."""

    def __init__(self, client: Any, queues: tuple[str, ...]) -> None:
        self._client = client
        self._queues = queues

    def __call__(self) -> Sample:
        """Raises ProbeError."""
        return total([self._look(queue) for queue in self._queues])

    def _look(self, queue: str) -> Sample:
        from botocore.exceptions import (  # type: ignore[import-untyped]
            BotoCoreError,
            ClientError,
        )

        try:
            url = self._url(queue)
            names = [_READY, _BUSY, _FUTURE]
            found = self._client.get_queue_attributes(QueueUrl=url, AttributeNames=names)
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", "an error"))
            raise ProbeError(f"SQS queue {_shown(queue)}: {show(code.encode())}") from None
        except (BotoCoreError, OSError) as error:
            raise ProbeError(f"SQS queue {_shown(queue)}: {type(error).__name__}") from None
        except KeyError:
            raise ProbeError(f"SQS queue {_shown(queue)}: the answer is no queue's") from None
        numbers = found.get("Attributes", {})
        ready, busy, future = (_number(queue, numbers.get(name)) for name in names)
        return Sample(ready, busy, future, exact=False)

    def _url(self, queue: str) -> str:
        if "://" in queue:
            return queue
        return str(self._client.get_queue_url(QueueName=queue)["QueueUrl"])


def _number(queue: str, text: object) -> int:
    try:
        return int(str(text))
    except ValueError:
        raise ProbeError(f"SQS queue {_shown(queue)}: a number is missing") from None


def _shown(queue: str) -> str:
    return show(queue.encode("utf-8", "backslashreplace"), 100)


def make(options: settings.Options) -> Callable[[], Any]:
    """A probe for SQS: `queues` (names or URLs), `region`, `endpoint`, `timeout`. Credentials are
    those that boto3 finds."""
    settings.known(options, "queues", "region", "endpoint")
    queues = settings.queues(options)
    try:
        import boto3  # type: ignore[import-untyped]
        from botocore.config import Config  # type: ignore[import-untyped]
        from botocore.exceptions import BotoCoreError
    except ModuleNotFoundError:
        raise UsageError(
            "this probe needs boto3, which is not installed; pip install lifeline-run[dynamodb]"
        ) from None
    seconds = settings.timeout(options)
    region = settings.text(options, "region") if "region" in options else None
    endpoint = settings.text(options, "endpoint") if "endpoint" in options else None
    config = Config(
        connect_timeout=seconds, read_timeout=seconds, retries={"total_max_attempts": 1}
    )
    try:
        client = boto3.client("sqs", region_name=region, endpoint_url=endpoint, config=config)
    except (BotoCoreError, ValueError) as error:
        raise UsageError(f"SQS: {type(error).__name__}: set region, and endpoint if any") from None
    return Sqs(client, queues)
