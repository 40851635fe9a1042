"""What boto3 raises, as errors that say what to do. No message of its own is passed on: those
hold request ids, account numbers and line breaks."""

from __future__ import annotations

from botocore.exceptions import (  # type: ignore[import-untyped]
    BotoCoreError,
    ClientError,
    ConfigNotFound,
    CredentialRetrievalError,
    HTTPClientError,
    NoAuthTokenError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
    SSLError,
    TokenRetrievalError,
)
from botocore.exceptions import (
    ConnectionError as BotoConnectionError,
)
from botocore.parsers import ResponseParserError  # type: ignore[import-untyped]

from ...errors import StoreError, StoreRefused, StoreUnreachable

_CREDENTIALS = (
    CredentialRetrievalError,
    NoAuthTokenError,
    NoCredentialsError,
    PartialCredentialsError,
    TokenRetrievalError,
)
NO_DYNAMODB = "what answers there is no DynamoDB; look at the endpoint and the network"
#: Everything that boto3 raises when it asks. ValueError and OSError: what it reads before (files,
#: what a credential_process prints) is not as it should be.
FAILURES = (BotoCoreError, ClientError, ResponseParserError, ValueError, OSError)
# What the service calls its refusals: what is wrong, and what to do.
_ANSWERS = {
    "ResourceNotFoundException": "there is no such table here; lifeline lock setup makes it",
    "AccessDeniedException": "access denied; allow dynamodb:UpdateItem, GetItem and Scan on it",
    "UnrecognizedClientException": "the credentials are not known there; look at the access key",
    "InvalidSignatureException": "the credentials are wrong; look at the secret key and the clock",
    "InvalidClientTokenId": "the credentials are not known there; look at the access key",
    "ExpiredTokenException": "the credentials have expired; get new ones",
    "MissingAuthenticationTokenException": "credentials are missing; set them as the AWS CLI does",
    "OptInRequired": "the account may not use this region; name another",
    "ValidationException": "the table's key is not `id`, a string; name a table of its own",
}
# Refused for now only.
_BUSY = frozenset(
    {
        "InternalServerError",
        "LimitExceededException",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestTimeout",
        "ServiceUnavailable",
        "ThrottlingException",
        "Throttling",
        "TransactionConflictException",
    }
)


def code_of(error: Exception) -> str:
    """What the service calls its answer; empty if there was none."""
    if not isinstance(error, ClientError):
        return ""
    return str(error.response.get("Error", {}).get("Code", ""))


def told(where: str, error: Exception) -> StoreError:
    """An error of boto3 as one of the store at `where`."""
    if isinstance(error, ClientError):
        return _answered(where, error)
    if isinstance(error, _CREDENTIALS):
        return StoreRefused(f"{where}: no credentials; set them as the AWS CLI does")
    if isinstance(error, (ConfigNotFound, ProfileNotFound)):
        return StoreRefused(f"{where}: the AWS profile is not there; look at AWS_PROFILE")
    if isinstance(error, NoRegionError):
        return StoreRefused(f"{where}: no region; add ?region= to the URL or set AWS_REGION")
    if isinstance(error, SSLError):
        return StoreRefused(f"{where}: the certificate is not trusted; look at AWS_CA_BUNDLE")
    kind = type(error).__name__
    if isinstance(error, (HTTPClientError, BotoConnectionError)):
        return StoreUnreachable(f"{where}: no answer ({kind}); look at the region and the network")
    if isinstance(error, ResponseParserError):
        return StoreUnreachable(f"{where}: {NO_DYNAMODB}")
    return StoreRefused(f"{where}: boto3 cannot ask ({kind}); look at the URL and the AWS settings")


def _answered(where: str, error: ClientError) -> StoreError:
    code = code_of(error)
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code in _ANSWERS:
        return StoreRefused(f"{where}: {_ANSWERS[code]}")
    if code in _BUSY or status >= 500 or not status:
        return StoreUnreachable(f"{where}: too busy or out of order ({code}); try again")
    return StoreRefused(f"{where}: refused ({code}); look at the table and the rights")
