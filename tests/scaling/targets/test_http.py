"""Whatever an API answers, or does not: one line, the documented error, and never the token."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from email.utils import formatdate
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from lifeline import clock
from lifeline.scaling import TargetError
from lifeline.scaling.plugins import make
from support.servers import free_port
from support.vendors import TOKEN, Answer, Heroku, Kubernetes, Vendor, certificate

Makes = Callable[..., Any]


def heroku_at(url: str, **more: object) -> Any:
    return make("target", {"kind": "heroku", "app": "shop", "token": TOKEN, "url": url, **more})


def kubernetes_at(url: str, **more: object) -> Any:
    options = {"kind": "kubernetes", "name": "worker", "namespace": "shop", "token": TOKEN}
    return make("target", {**options, "url": url, **more})


@pytest.fixture(params=["heroku", "kubernetes"])
def served(request: pytest.FixtureRequest) -> Iterator[tuple[Vendor, Makes]]:
    """A server with two workers, and what makes a target of it."""
    vendor: Vendor = Heroku(worker=2) if request.param == "heroku" else Kubernetes(replicas=2)
    yield vendor, heroku_at if request.param == "heroku" else kubernetes_at
    vendor.close()


def refused(call: Callable[[], object], *parts: str) -> TargetError:
    """The TargetError of a call: one line with all `parts` in it, without the token."""
    with pytest.raises(TargetError) as caught:
        call()
    message = str(caught.value)
    assert message.isprintable() and "\n" not in message
    assert TOKEN not in message and TOKEN not in repr(vars(caught.value))
    assert caught.value.exit_code == 75
    assert caught.value.__cause__ is None
    for part in parts:
        assert part in message, message
    return caught.value


def test_what_was_written_is_read_again(served: tuple[Vendor, Makes]) -> None:
    """read() tells what write() left, zero included, and a write is one call that changes."""
    vendor, target_at = served
    target = target_at(vendor.url)
    assert target.read() == 2
    for n in (5, 0, 1):
        target.write(n)
        assert target.read() == n
    assert len(vendor.writes()) == 3


@pytest.mark.parametrize(
    ("status", "parts"),
    [
        (400, ["400"]),
        (401, ["401", "token is not accepted"]),
        (402, ["402"]),
        (403, ["403", "has not the right"]),
        (404, ["404"]),
        (409, ["409"]),
        (422, ["422"]),
        (500, ["500"]),
        (503, ["503"]),
    ],
)
def test_a_refusal_is_told_with_the_platforms_words(
    served: tuple[Vendor, Makes], status: int, parts: list[str]
) -> None:
    """Each status is one line with the number, the platform's own id and message."""
    vendor, target_at = served
    target = target_at(vendor.url)
    target.read()
    said = {"id": "some_id", "reason": "some_id", "message": "some\nwords", "code": status}
    vendor.instead = [Answer(status, said)]
    refused(target.read, *parts, "some_id", "some words")


def test_a_wrong_token_and_a_wrong_name_are_told(served: tuple[Vendor, Makes]) -> None:
    """401 and 404 as the vendor really sends them."""
    vendor, target_at = served
    refused(target_at(vendor.url, token="wrong").read, "401")
    key = "app" if isinstance(vendor, Heroku) else "name"
    refused(target_at(vendor.url, **{key: "nobody"}).read, "404")


@pytest.mark.parametrize("status", [429, 503])
def test_a_retry_after_in_seconds_is_kept(served: tuple[Vendor, Makes], status: int) -> None:
    """The error carries how long the platform wants to be left alone."""
    vendor, target_at = served
    target = target_at(vendor.url)
    vendor.instead = [Answer(status, {"message": "slow down"}, {"Retry-After": "17"})]
    assert refused(target.read, str(status)).retry_after == 17


def test_a_retry_after_as_a_date_is_kept(served: tuple[Vendor, Makes]) -> None:
    """A date means the seconds until then."""
    vendor, target_at = served
    target = target_at(vendor.url)
    date = formatdate(clock.wall() + 600, usegmt=True)
    vendor.instead = [Answer(429, {}, {"Retry-After": date})]
    after = refused(target.read).retry_after
    assert after is not None and 500 < after <= 600


@pytest.mark.parametrize(("value", "expected"), [("soon", None), ("nan", None), ("-5", 0)])
def test_a_retry_after_that_makes_no_sense_is_none(
    value: str, expected: float | None, kubernetes: Kubernetes
) -> None:
    """What is no number and no date asks for nothing, and nothing is negative."""
    target = kubernetes_at(kubernetes.url)
    kubernetes.instead = [Answer(429, {}, {"Retry-After": value})]
    assert refused(target.read).retry_after == expected


@pytest.mark.parametrize("content", [b"", b"<html>", b"[" * 100_000, b"\xff\xfe", b"null"])
def test_an_answer_that_is_no_json_is_an_error(
    served: tuple[Vendor, Makes], content: bytes
) -> None:
    """200 with nonsense is never a number of workers."""
    vendor, target_at = served
    target = target_at(vendor.url)
    target.read()
    vendor.instead = [Answer(200, content)]
    refused(target.read, "no JSON")


@pytest.mark.parametrize("data", [[], "2", 7, {}, {"quantity": None, "spec": {"replicas": None}}])
@pytest.mark.parametrize("count", ["two", -1, 2.5, True])
def test_json_of_another_shape_is_an_error(
    served: tuple[Vendor, Makes], data: object, count: object
) -> None:
    """Neither another document nor a count that counts nothing passes for one."""
    vendor, target_at = served
    target = target_at(vendor.url)
    target.read()
    vendor.instead = [
        Answer(200, data),
        Answer(200, {"quantity": count, "spec": {"replicas": count}}),
    ]
    refused(target.read)
    refused(target.read, "no number of workers")


def test_too_long_an_answer_is_an_error(heroku: Heroku) -> None:
    """Nobody fills the scaler's memory."""
    target = heroku_at(heroku.url)
    heroku.instead = [Answer(200, b" " * (17 << 20))]
    refused(target.read)


def test_the_token_is_not_told_even_if_the_platform_repeats_it(
    served: tuple[Vendor, Makes],
) -> None:
    """A message that quotes the request, however long, shows none of the token."""
    vendor, target_at = served
    target = target_at(vendor.url)
    for padding in ("", "x" * 190):  # the second is cut in the middle of it
        message = f"{padding} bad header: Bearer {TOKEN}"
        vendor.instead = [Answer(400, {"id": TOKEN, "reason": TOKEN, "message": message})]
        assert "hunter2" not in str(refused(target.read, "400"))


def test_a_redirect_is_not_followed(served: tuple[Vendor, Makes]) -> None:
    """The token goes to no other host: the other server hears nothing."""
    vendor, target_at = served
    target = target_at(vendor.url)
    other = Heroku(worker=9)
    try:
        vendor.instead = [Answer(302, {}, {"Location": other.url + "/apps/shop/formation/worker"})]
        refused(target.read, "redirect")
        assert other.requests == []
    finally:
        other.close()


def test_nobody_listening_is_told(served: tuple[Vendor, Makes]) -> None:
    """A refused connection is one line."""
    _, target_at = served
    refused(target_at(f"http://127.0.0.1:{free_port()}").read, "not reached (Connection refused)")


def test_a_name_that_does_not_resolve_is_told(served: tuple[Vendor, Makes]) -> None:
    """So is a host that there is not."""
    _, target_at = served
    refused(target_at("https://nowhere.invalid").read, "not reached")


@pytest.mark.parametrize("mood", ["hang", "drip"])
def test_a_server_that_hangs_is_left(served: tuple[Vendor, Makes], mood: str) -> None:
    """Neither silence nor a byte now and then keeps a call longer than its timeout."""
    vendor, target_at = served
    target = target_at(vendor.url, timeout="1s")
    vendor.mood = mood
    refused(target.read, "no answer within 1 s")
    vendor.mood = "well"


def test_the_scaler_can_only_shorten_the_timeout(heroku: Heroku) -> None:
    """Setting `timeout` bounds the next call, and never lengthens what the option says."""
    target = heroku_at(heroku.url, timeout=5)
    target.timeout = 60
    assert target.timeout == 5
    target.timeout = 0.8
    heroku.mood = "hang"
    refused(target.read, "no answer within 0.8 s")


def test_without_time_nothing_is_sent(served: tuple[Vendor, Makes]) -> None:
    """A call whose time is over before it begins does not reach the platform."""
    vendor, target_at = served
    target = target_at(vendor.url)
    target.timeout = 0
    refused(lambda: target.write(3), "was not begun")
    assert vendor.requests == []


def test_a_server_that_breaks_off_is_told(heroku: Heroku) -> None:
    """Half an answer is none."""
    target = heroku_at(heroku.url)
    heroku.instead = [Answer(200, b"{", {"Content-Length": "100"})]
    refused(target.read)


def test_an_untrusted_certificate_gets_no_token(tmp_path: Path) -> None:
    """TLS fails before anything is sent."""
    _, context = certificate(tmp_path)
    server = Heroku(context, worker=2)
    try:
        refused(heroku_at(server.url).read, "certificate is not trusted")
        assert server.requests == []
    finally:
        server.close()


def test_a_server_without_tls_is_told(kubernetes: Kubernetes) -> None:
    """https:// to a port that speaks plain HTTP is one line, too."""
    url = kubernetes.url.replace("http:", "https:")
    refused(kubernetes_at(url).read, "no TLS connection")


def test_a_given_certificate_is_trusted(tmp_path: Path) -> None:
    """`ca` replaces the system's certificates: a cluster signs its own."""
    pem, context = certificate(tmp_path)
    server = Kubernetes(context, replicas=4)
    try:
        assert kubernetes_at(server.url, ca=str(pem)).read() == 4
    finally:
        server.close()


def test_names_are_quoted_in_paths(heroku: Heroku) -> None:
    """An app called `..%2f` asks for no other path."""
    refused(heroku_at(heroku.url, app="a;b").read, "404")
    assert heroku.requests[-1].path == f"/apps/{quote('a;b')}/formation/worker"
