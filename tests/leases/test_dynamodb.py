"""The DynamoDB store: observation, dynalock's tables, lost answers, and what people are told."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from lifeline.backends.dynamodb import DynamoStore, items, open_backend
from lifeline.errors import SlotsMismatch, StoreError, StoreRefused, StoreUnreachable
from lifeline.leases.port import (
    BAD,
    GOOD,
    LOST,
    RENEWED,
    UNKNOWN,
    WARNING,
    Claim,
    Granted,
    Request,
    Taken,
)
from support.proxy import Proxy
from support.servers import dynamodb as servers
from support.servers import free_port

from .conftest import Party

QUICK = 1.5  # seconds of patience: one to connect and half a one to answer


class DynamoParty(Party):
    """A party whose store is known to be a table."""

    backend: DynamoStore


def open_party(url: str) -> DynamoParty:
    return DynamoParty(open_backend(url))


@pytest.fixture
def url() -> str:
    return servers.fresh()


@pytest.fixture
def one(url: str) -> Iterator[DynamoParty]:
    party = open_party(url)
    yield party
    party.backend.close()


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with Proxy(servers.server().port) as proxy:
        yield proxy


@pytest.fixture
def far(url: str, proxy: Proxy) -> Iterator[DynamoParty]:
    """The same table through a proxy, by a client without patience."""
    table = url.removeprefix("dynamodb://").partition("?")[0]
    party = open_party(servers.url_of(proxy.port, table))
    party.backend.patience = QUICK
    yield party
    party.backend.close()


def put(party: DynamoParty, **item: str | int) -> None:
    """Write a whole item, as another program would."""
    wire = {k: {"S": v} if isinstance(v, str) else {"N": str(v)} for k, v in item.items()}
    party.backend.table.client.put_item(TableName=party.backend.table.name, Item=wire)


# --- takeover ---------------------------------------------------------------------------------


def ask(store: DynamoStore, observed: dict[int, str], owner: str = "f" * 32) -> Granted | Taken:
    return store.try_acquire(Request("turn", 1, (0,), owner, 30.0, {}, observed))


def test_only_the_version_that_was_observed_can_be_taken_over(one: DynamoParty) -> None:
    """A renewal in between keeps the lease; without one it changes hands for good."""
    claim = one.take("turn")
    (seen,) = one.backend.holders("turn")
    assert isinstance(ask(one.backend, {0: "another"}), Taken)
    assert one.renew(claim) == [RENEWED]
    assert isinstance(ask(one.backend, {0: seen.version}), Taken)
    (seen,) = one.backend.holders("turn")
    granted = ask(one.backend, {0: seen.version})
    assert granted == Granted(0, claim.fence + 1)
    assert one.renew(claim) == [LOST]
    one.backend.release(claim)
    assert [seen.owner for seen in one.backend.holders("turn")] == ["f" * 32]


def test_what_was_taken_over_leaves_nothing_behind(one: DynamoParty) -> None:
    """Once the new holder has let go, another number of slots may be used."""
    one.take("turn")
    (seen,) = one.backend.holders("turn")
    granted = ask(one.backend, {0: seen.version})
    assert isinstance(granted, Granted)
    with pytest.raises(SlotsMismatch):
        one.ask("turn", 2)
    one.backend.release(Claim("turn", 0, 1, "f" * 32, granted.fence, 30.0))
    one.take("turn", 2)


def test_a_free_slot_comes_before_one_that_was_observed(one: DynamoParty) -> None:
    """Nobody's lease is taken while there is another way."""
    claims = [one.take("pool", 3) for _ in range(2)]
    observed = {seen.slot: seen.version for seen in one.backend.holders("pool")}
    order = (claims[0].slot, claims[1].slot, 3 - claims[0].slot - claims[1].slot)
    granted = one.backend.try_acquire(Request("pool", 3, order, "f" * 32, 30.0, {}, observed))
    assert isinstance(granted, Granted) and granted.slot == order[2]
    assert one.renew(*claims) == [RENEWED, RENEWED]


def test_a_fence_that_is_not_the_leases_renews_nothing(one: DynamoParty) -> None:
    """The condition is on owner and fence."""
    claim = one.take("turn")
    false = replace(claim, fence=claim.fence + 1)
    assert one.renew(false) == [LOST]
    one.backend.release(false)
    assert one.renew(claim) == [RENEWED]


def test_a_second_attempt_of_an_owner_does_not_get_a_second_slot(one: DynamoParty) -> None:
    """Though the first slot of its order has become free since the first attempt."""
    other = one.take("pool", 2)
    owner = "a" * 32
    order = (other.slot, 1 - other.slot)
    first = one.backend.try_acquire(Request("pool", 2, order, owner, 30.0))
    one.backend.release(other)
    assert one.backend.try_acquire(Request("pool", 2, order, owner, 30.0)) == first
    assert len(one.backend.holders("pool")) == 1


def test_namespaces_do_not_meet(url: str, one: DynamoParty) -> None:
    """The same name is another lease there, and each shows its own only."""
    one.take("turn")
    other = open_party(f"{url}&namespace=team")
    claim = other.take("turn")
    for party, owners in ((other, [claim.owner]), (one, one.backend.holders("turn"))):
        assert len(party.backend.holders()) == len(owners) == 1
    assert [seen.owner for seen in other.backend.holders()] == [claim.owner]
    other.backend.close()


# --- dynalock ---------------------------------------------------------------------------------


def test_a_live_item_of_dynalock_is_a_holder(one: DynamoParty) -> None:
    """It is shown, it is in the way of every number of slots, and it has so many seconds left."""
    put(one, id="turn", expires=int(time.time()) + 60, lock_owner="me@host")
    for slots in (1, 3):
        taken = one.ask("turn", slots)
        assert isinstance(taken, Taken)
        (seen,) = taken.seen
        assert (seen.name, seen.owner) == ("turn", "me@host")
        assert seen.left is not None and 50 < seen.left <= 63
    assert [seen.owner for seen in one.backend.holders()] == ["me@host"]
    assert [seen.owner for seen in one.backend.holders("turn")] == ["me@host"]


def test_an_item_that_dynalock_left_behind_is_taken_over(one: DynamoParty) -> None:
    """By the store's clock, at once; the fence is beyond every one that there was before it."""
    claim = one.take("turn")
    one.backend.release(claim)
    expires = int(time.time()) - 5
    put(one, id="turn", expires=expires, lock_owner="me@host")
    assert one.backend.holders() == []
    successor = one.take("turn")
    assert successor.fence > max(expires, claim.fence)
    assert one.renew(successor) == [RENEWED]
    one.backend.release(successor)
    assert one.take("turn").fence > successor.fence


def test_dynalock_stays_away_while_a_lease_is_held_and_not_longer(one: DynamoParty) -> None:
    """Its own condition, word for word, on what lifeline has written."""
    client, table = one.backend.table.client, one.backend.table.name

    def dynalock_takes() -> bool:
        now = int(time.time())
        try:
            client.put_item(
                TableName=table,
                Item={
                    "id": {"S": "turn"},
                    "lock_owner": {"S": "me@host"},
                    "expires": {"N": str(now + 5)},
                },
                ConditionExpression="attribute_not_exists(expires) OR expires < :expires",
                ExpressionAttributeValues={":expires": {"N": str(now)}},
            )
        except client.exceptions.ConditionalCheckFailedException:
            return False
        return True

    claim = one.take("turn")
    assert not dynalock_takes()
    assert one.renew(claim) == [RENEWED]
    one.backend.release(claim)
    assert dynalock_takes()
    assert isinstance(one.ask("turn"), Taken)


# --- between the client and the table ---------------------------------------------------------


def test_an_acquisition_whose_answer_was_lost_is_granted_when_asked_again(
    far: DynamoParty, one: DynamoParty, proxy: Proxy
) -> None:
    """The same slot and fence, once: the client repeats nothing by itself."""
    far.backend.holders("turn")  # connected
    proxy.lose_replies(cut=True)
    with pytest.raises(StoreUnreachable):
        far.ask("turn", owner="a" * 32)
    assert proxy.lost == 1
    proxy.heal()
    claim = far.ask("turn", owner="a" * 32)
    assert isinstance(claim, Claim) and claim.fence == 1
    assert len(one.backend.holders("turn")) == 1


def test_a_renewal_whose_answer_was_lost_is_no_loss(
    far: DynamoParty, one: DynamoParty, proxy: Proxy
) -> None:
    """The version has changed, and the next renewal does not mind."""
    claim = far.take("turn")
    before = one.backend.holders("turn")
    proxy.lose_replies(cut=True)
    with pytest.raises(StoreUnreachable):
        far.renew(claim)
    assert one.backend.holders("turn") != before
    proxy.heal()
    assert far.renew(claim) == [RENEWED]


def test_a_release_whose_answer_was_lost_can_be_said_again(
    far: DynamoParty, one: DynamoParty, proxy: Proxy
) -> None:
    """And does not touch who has come since."""
    claim = far.take("turn")
    proxy.lose_replies(cut=True)
    with pytest.raises(StoreUnreachable):
        far.backend.release(claim)
    successor = one.take("turn")
    proxy.heal()
    far.backend.release(claim)
    assert one.renew(successor) == [RENEWED]


def test_a_request_that_got_lost_changes_nothing(
    far: DynamoParty, one: DynamoParty, proxy: Proxy
) -> None:
    """Neither does it grant nor renew."""
    proxy.lose_requests(cut=True)
    with pytest.raises(StoreUnreachable):
        far.ask("turn")
    assert proxy.lost == 1
    assert one.backend.holders("turn") == []


BREAKS: dict[str, Callable[[Proxy], None]] = {
    "refuse": Proxy.refuse,
    "black hole": Proxy.black_hole,
    "half-open": Proxy.half_open,
    "lost requests": Proxy.lose_requests,
    "lost replies": Proxy.lose_replies,
}


@pytest.mark.parametrize("name", BREAKS)
def test_every_verb_gives_up_in_time_and_comes_back(
    far: DynamoParty, proxy: Proxy, name: str
) -> None:
    """With the table's name in one line; once the network is whole, the lease still is held."""
    claim = far.take("turn")
    for verb in (
        lambda: far.renew(claim),
        lambda: far.ask("other"),
        lambda: far.backend.holders("turn"),
    ):
        BREAKS[name](proxy)
        with pytest.raises(StoreUnreachable) as caught:
            verb()
        assert str(caught.value).startswith(f"{far.backend.table.where}: no answer (")
        assert "\n" not in str(caught.value)
        proxy.heal()
        assert far.renew(claim) == [RENEWED]


def test_a_connection_that_was_reset_is_made_again(far: DynamoParty, proxy: Proxy) -> None:
    """At the next verb, or at the one after it."""
    claim = far.take("turn")
    proxy.drop()
    try:
        assert far.renew(claim) == [RENEWED]
    except StoreUnreachable:
        assert far.renew(claim) == [RENEWED]


def test_of_many_renewals_those_without_an_answer_are_unknown(
    far: DynamoParty, proxy: Proxy
) -> None:
    """What was answered counts; the rest is not asked one by one for seconds each."""
    claims = [far.take(f"turn {number}") for number in range(4)]
    asked: list[str] = []
    real = far.backend._update

    def update(name: str, change: items.Change) -> Any:
        asked.append(name)
        if len(asked) == 3:
            proxy.lose_replies(cut=True)
        return real(name, change)

    far.backend._update = update  # type: ignore[method-assign]
    assert far.renew(*claims) == [RENEWED, RENEWED, UNKNOWN, UNKNOWN]
    assert len(asked) == 3


def test_a_server_that_hangs_is_waited_for_no_longer_than_its_patience() -> None:
    """And answers as before when it goes on."""
    server = servers.new_server()
    try:
        party = open_party(servers.url_of(server.port))
        party.backend.setup()
        claim = party.take("turn")
        party.backend.close()
        party.backend.patience = QUICK
        server.freeze()
        with pytest.raises(StoreUnreachable):
            party.renew(claim)
        server.thaw()
        assert party.renew(claim) == [RENEWED]
        party.backend.close()
    finally:
        server.close()


# --- what people are told ---------------------------------------------------------------------


@contextmanager
def answering(status: int, code: str, page: bytes = b"") -> Iterator[int]:
    """A server that answers everything with one error of the service: its port.

    moto neither throttles nor denies.
    """
    error = {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": "hunter2"}
    body = page or json.dumps(error).encode()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            count.append(1)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    count: list[int] = []
    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server.server_address[1]
        assert len(count) == 1, "the client tried again by itself"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(
    ("status", "code", "kind", "says"),
    [
        (400, "ProvisionedThroughputExceededException", StoreUnreachable, "too busy"),
        (400, "ThrottlingException", StoreUnreachable, "too busy"),
        (400, "RequestLimitExceeded", StoreUnreachable, "too busy"),
        (500, "InternalServerError", StoreUnreachable, "out of order"),
        (503, "SomethingNew", StoreUnreachable, "SomethingNew"),
        (400, "AccessDeniedException", StoreRefused, "allow dynamodb:UpdateItem"),
        (400, "UnrecognizedClientException", StoreRefused, "access key"),
        (400, "InvalidSignatureException", StoreRefused, "secret key"),
        (400, "ExpiredTokenException", StoreRefused, "expired"),
        (400, "ResourceNotFoundException", StoreRefused, "lifeline lock setup"),
        (400, "SomethingNew", StoreRefused, "SomethingNew"),
    ],
)
def test_what_the_service_answers_is_told_in_a_line(
    status: int, code: str, kind: type[Exception], says: str, one: DynamoParty
) -> None:
    """What may pass is no refusal; what needs people says what to do; its own text is hidden."""
    with answering(status, code) as port:
        party = open_party(servers.url_of(port, "table"))
        with pytest.raises(kind, match=says) as caught:
            party.ask("turn")
    party.backend.close()
    said = str(caught.value)
    assert said.startswith("dynamodb://table: ")
    assert "\n" not in said and "hunter2" not in said


def test_a_missing_table_names_the_command_that_makes_it() -> None:
    """On the real endpoint, by every verb and by check."""
    party = open_party(servers.url_of(servers.server().port))
    with pytest.raises(StoreRefused, match="lifeline lock setup"):
        party.ask("turn")
    with pytest.raises(StoreRefused, match="lifeline lock setup"):
        party.backend.holders()
    (finding,) = party.backend.check()
    assert finding.level == BAD and "lifeline lock setup" in finding.advice
    assert party.backend.setup() == [f"made the table {party.backend.table.name}"]
    assert party.backend.setup() == []
    party.take("turn")
    party.backend.close()


@pytest.mark.parametrize("status", [200, 404])
@pytest.mark.parametrize("verb", ["acquire", "renew", "holders"])
def test_something_else_that_answers_proves_nothing(
    status: int, verb: str, one: DynamoParty
) -> None:
    """As the page of a captive portal does: nothing is granted or renewed by it."""
    claim = one.take("turn")
    with answering(status, "x", b"<html>hunter2</html>") as port:
        party = open_party(servers.url_of(port, "table"))
        with pytest.raises(StoreError) as caught:
            if verb == "acquire":
                party.ask("turn")
            elif verb == "renew":
                party.renew(claim)
            else:
                party.backend.holders()
    party.backend.close()
    assert "hunter2" not in str(caught.value) and "\n" not in str(caught.value)


def test_nobody_listens(one: DynamoParty) -> None:
    """A wrong endpoint or region: look there."""
    party = open_party(servers.url_of(free_port(), "table"))
    with pytest.raises(StoreUnreachable, match="look at the region and the network"):
        party.ask("turn")


def test_without_credentials_nothing_is_asked(
    url: str, monkeypatch: pytest.MonkeyPatch, one: DynamoParty
) -> None:
    """The message says where they come from."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    party = open_party(url)
    with pytest.raises(StoreRefused, match="no credentials; set them as the AWS CLI does"):
        party.ask("turn")


def test_without_a_region_nothing_is_asked(
    url: str, monkeypatch: pytest.MonkeyPatch, one: DynamoParty
) -> None:
    """The message says where to put it."""
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    party = open_party("dynamodb://table")
    with pytest.raises(StoreRefused, match=r"no region; add \?region="):
        party.ask("turn")


def test_a_profile_that_is_not_there_is_told(
    url: str, monkeypatch: pytest.MonkeyPatch, one: DynamoParty
) -> None:
    """With the variable that names it."""
    monkeypatch.setenv("AWS_PROFILE", "nowhere")
    with pytest.raises(StoreRefused, match="AWS_PROFILE"):
        open_party(url).ask("turn")


def test_a_table_with_another_key_is_refused() -> None:
    """Somebody else's table is neither read nor written as one of leases."""
    party = open_party(servers.url_of(servers.server().port))
    party.backend.table.client.create_table(
        TableName=party.backend.table.name,
        KeySchema=[{"AttributeName": "other", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "other", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    with pytest.raises(StoreRefused, match="name a table of its own"):
        party.ask("turn")
    assert BAD in [finding.level for finding in party.backend.check()]
    party.backend.close()


def test_a_table_that_deletes_items_by_time_is_warned_of(one: DynamoParty) -> None:
    """With them go the fences. All else is good."""
    assert {finding.level for finding in one.backend.check()} == {GOOD}
    one.backend.table.client.update_time_to_live(
        TableName=one.backend.table.name,
        TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires"},
    )
    (warning,) = [found for found in one.backend.check() if found.level == WARNING]
    assert "'expires'" in warning.what and "turn time to live off" in warning.advice


def test_check_writes_nothing(one: DynamoParty) -> None:
    """The right to write is tried with a condition that cannot be met."""
    one.backend.check()
    assert one.backend.table.client.scan(TableName=one.backend.table.name)["Count"] == 0


def test_many_pages_of_holders_are_read_to_the_end(one: DynamoParty) -> None:
    """A page of a scan ends after a megabyte."""
    big = "x" * 100_000
    for number in range(12):
        one.take(f"turn {number:02}", note=big)
    assert len(one.backend.holders()) == 12
