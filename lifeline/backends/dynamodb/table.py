"""One table of DynamoDB, as boto3 reaches it: requests that give up in time, errors as ours."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import Any

import boto3  # type: ignore[import-untyped]
from botocore.config import Config  # type: ignore[import-untyped]
from botocore.exceptions import ClientError  # type: ignore[import-untyped]

from ...errors import StoreUnreachable
from .errors import FAILURES, NO_DYNAMODB, code_of, told
from .items import Item

_CONNECT = 1.0  # seconds
_CONDITION_FAILED = "ConditionalCheckFailedException"


class Table:
    """The table `name`; `where` is what errors call it. Not connected before it is used."""

    def __init__(self, where: str, name: str, region: str | None, endpoint: str | None) -> None:
        self.where = where
        self.name = name
        self._region = region
        self._endpoint = endpoint
        self._client: Any = None
        self._patience = 4.0  # seconds

    @property
    def patience(self) -> float:
        """Seconds that a request takes at most."""
        return self._patience

    @patience.setter
    def patience(self, seconds: float) -> None:
        self._patience = seconds
        self.close()  # a client keeps to what it was made with

    def twin(self) -> Table:
        """The same table, with connections of its own."""
        return Table(self.where, self.name, self._region, self._endpoint)

    def ask(self, verb: str, **arguments: Any) -> dict[str, Any]:
        """What a request is answered with. Raises StoreError."""
        try:
            answer = getattr(self.client, verb)(TableName=self.name, **arguments)
        except FAILURES as error:
            raise told(self.where, error) from None
        return dict(answer)

    def update(self, key: Item, **change: Any) -> tuple[bool, dict[str, Any]]:
        """UpdateItem: True and the answer, or False and one whose `Item` is what stood against it.

        Raises StoreError.
        """
        try:
            answer = self.client.update_item(
                TableName=self.name,
                Key=key,
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
                **change,
            )
        except FAILURES as error:
            if not isinstance(error, ClientError) or code_of(error) != _CONDITION_FAILED:
                raise told(self.where, error) from None
            return False, error.response
        return True, answer

    def part(self, answer: dict[str, Any], name: str) -> Any:
        """What every true answer contains. A portal's page with status 200 comes out of boto3 as
        an empty one: StoreUnreachable."""
        if name not in answer:
            raise StoreUnreachable(f"{self.where}: {NO_DYNAMODB}")
        return answer[name]

    @property
    def client(self) -> Any:
        """boto3's client, that gives up in time and tries nothing again by itself."""
        if self._client is None:
            connect = min(_CONNECT, self.patience / 2)
            config = Config(
                connect_timeout=connect,
                read_timeout=self.patience - connect,
                retries={"total_max_attempts": 1, "mode": "standard"},
            )
            try:
                self._client = boto3.session.Session().client(
                    "dynamodb", self._region, endpoint_url=self._endpoint, config=config
                )
            except FAILURES as error:
                raise told(self.where, error) from None
        return self._client

    def close(self) -> None:
        """Let go of the connections; the next request makes new ones."""
        if self._client is not None:
            self._client.close()
        self._client = None

    def forget(self) -> None:
        """In a forked child: leave the connections to the parent."""
        self._client = None


def time_of(answer: dict[str, Any]) -> float:
    """The store's clock when it answered, in whole seconds since the epoch; 0 if not told."""
    headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    try:
        return parsedate_to_datetime(headers["date"]).timestamp()
    except (KeyError, TypeError, ValueError):
        return 0.0
