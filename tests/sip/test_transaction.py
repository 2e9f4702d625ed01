"""The four tables of RFC 3261 17 and RFC 6026, row by row, on a clock of the test's own."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from qm_sip.sip.events import Address
from qm_sip.sip.layer import TransactionLayer
from qm_sip.sip.message import Request, Response, parse
from qm_sip.sip.reply import reply
from qm_sip.sip.timers import Timers
from qm_sip.sip.transaction import TABLES, Event, Kind, State, TimerSettings, Transaction
from tests.sip.network import ALICE, BOB, request


@dataclass
class Bench:
    """One layer, its user and its wire."""

    now: float = 0.0
    timers: Timers = field(default_factory=Timers)
    sent: list[tuple[float, bytes]] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    went: list[Address] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.layer = TransactionLayer(TimerSettings(), self.timers, self._send)

    def _send(self, data: bytes, destination: Address, local: Address) -> None:
        self.sent.append((round(self.now, 3), data))
        self.went.append(destination)

    def on_response(self, transaction: Transaction, response: Response, now: float) -> None:
        self.told.append(str(response.status))

    def on_ack(self, transaction: Transaction, request: Request, now: float) -> None:
        self.told.append("ack")

    def on_timeout(self, transaction: Transaction, now: float) -> None:
        self.told.append("timeout")

    def on_unreachable(self, transaction: Transaction, now: float) -> None:
        self.told.append("unreachable")

    def on_terminated(self, transaction: Transaction, now: float) -> None:
        self.told.append("terminated")

    def run(self, until: float) -> None:
        while (due := self.timers.next()) is not None and due <= until:
            self.now = due
            self.timers.advance(due)
        self.now = until

    def client(self, method: str, to: Address = BOB, by: Address = ALICE, branch: str = "1") -> Transaction:
        made = parse(request(method, branch=f"z9hG4bK-{branch}"))
        assert isinstance(made, Request)
        return self.layer.request(made, to, by, self, self.now)

    def server(self, method: str, to: Address = ALICE, by: Address = BOB, branch: str = "1") -> Transaction:
        made = parse(request(method, branch=f"z9hG4bK-{branch}"))
        assert isinstance(made, Request)
        return self.layer.accept(made, to, by, self, self.now)

    def respond(self, transaction: Transaction, status: int) -> None:
        transaction.respond(reply(transaction.request, status, tag="t"), self.now)

    def get(self, transaction: Transaction, status: int) -> None:
        response = reply(transaction.request, status, tag="t")
        assert self.layer.find_client(response) is transaction
        transaction.receive(response, self.now)

    def times(self, word: bytes) -> list[float]:
        return [at for at, data in self.sent if data.split(b"\r\n")[0].find(word) >= 0]


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_timer_a_doubles_without_cap_and_b_ends_calling(bench: Bench) -> None:
    bench.client("INVITE")
    bench.run(100)
    assert bench.times(b"INVITE") == [0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
    assert bench.told == ["timeout", "terminated"]


def test_timer_b_stops_at_the_first_1xx(bench: Bench) -> None:
    calling = bench.client("INVITE")
    bench.get(calling, 100)
    bench.run(1000)
    assert calling.state is State.PROCEEDING and len(bench.sent) == 1


def test_timer_e_stops_at_t2_and_f_ends_it(bench: Bench) -> None:
    bench.client("BYE")
    bench.run(100)
    assert bench.times(b"BYE") == [0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    assert bench.told == ["timeout", "terminated"]


def test_in_proceeding_a_request_is_repeated_every_t2_and_still_given_up(bench: Bench) -> None:
    asking = bench.client("BYE")
    bench.run(1)
    bench.get(asking, 100)
    bench.run(100)
    assert bench.times(b"BYE") == [0, 0.5, 5, 9, 13, 17, 21, 25, 29]
    assert bench.told == ["100", "timeout", "terminated"]


def test_timer_g_stops_at_t2_and_h_gives_up_without_ack(bench: Bench) -> None:
    ringing = bench.server("INVITE")
    bench.respond(ringing, 486)
    bench.run(100)
    assert bench.times(b"486") == [0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    assert bench.told == ["timeout", "terminated"]


def test_after_the_ack_timer_i_absorbs_copies(bench: Bench) -> None:
    ringing = bench.server("INVITE")
    bench.respond(ringing, 486)
    ringing.fire(Event.GOT_ACK, bench.now)
    bench.run(4.9)
    ringing.fire(Event.GOT_REQUEST, bench.now)
    assert ringing.state is State.CONFIRMED and len(bench.sent) == 1
    bench.run(5.1)
    assert bench.told == ["terminated"]


@pytest.mark.parametrize(
    ("method", "status", "lasts"),
    [("INVITE", 486, 32.0), ("INVITE", 200, 32.0), ("BYE", 200, 5.0), ("BYE", 481, 5.0)],
    ids=["D", "M", "K 2xx", "K failure"],
)
def test_how_long_a_client_waits_for_copies(bench: Bench, method: str, status: int, lasts: float) -> None:
    transaction = bench.client(method)
    bench.get(transaction, status)
    bench.run(lasts - 0.1)
    assert not transaction.over
    bench.run(lasts + 0.1)
    assert transaction.over and bench.layer.clients == {}


@pytest.mark.parametrize(("method", "status"), [("INVITE", 200), ("BYE", 200), ("OPTIONS", 405)])
def test_how_long_a_server_waits_for_copies(bench: Bench, method: str, status: int) -> None:
    transaction = bench.server(method)
    bench.respond(transaction, status)
    bench.run(31.9)
    assert not transaction.over
    bench.run(32.1)
    assert transaction.over and bench.layer.servers == {} and not bench.layer._merges


def test_a_copy_gets_the_last_answer_again(bench: Bench) -> None:
    ringing = bench.server("INVITE")
    ringing.fire(Event.GOT_REQUEST, 0)
    assert bench.sent == []
    bench.respond(ringing, 180)
    ringing.fire(Event.GOT_REQUEST, 0)
    assert len(bench.times(b"180")) == 2


def test_every_2xx_passes_and_no_failure_after_it(bench: Bench) -> None:
    calling = bench.client("INVITE")
    for status in (180, 200, 200, 486, 180):
        bench.get(calling, status)
    assert bench.told == ["180", "200", "200"] and bench.times(b"ACK") == []


def test_a_failure_is_acknowledged_each_time_and_told_once(bench: Bench) -> None:
    calling = bench.client("INVITE")
    for status in (486, 486, 200):
        bench.get(calling, status)
    assert bench.told == ["486"] and len(bench.times(b"ACK")) == 2


def test_a_request_nobody_answers_is_dropped_without_a_408(bench: Bench) -> None:
    bench.server("INFO")
    bench.run(40)
    assert bench.sent == [] and bench.told == ["timeout", "terminated"]


def test_an_icmp_error_ends_what_waits_for_that_peer_only(bench: Bench) -> None:
    first = bench.client("INVITE")
    bench.layer.unreachable(Address("192.0.2.99", 5060), ALICE, 0)
    bench.layer.unreachable(BOB, Address("192.0.2.99", 5060), 0)
    assert not first.over
    bench.layer.unreachable(BOB, ALICE, 0)
    assert bench.told == ["unreachable", "terminated"]


def test_a_response_finds_its_transaction_by_branch_and_method(bench: Bench) -> None:
    calling = bench.client("INVITE")
    other = parse(request("CANCEL"))
    assert isinstance(other, Request)
    assert bench.layer.find_client(reply(other, 200, tag="t")) is None
    assert calling.state is State.CALLING


def test_a_peer_of_rfc_2543_is_matched_without_a_branch(bench: Bench) -> None:
    via = "Via: SIP/2.0/UDP 192.0.2.1:5060"
    invite, ack = parse(request(via=via)), parse(request("ACK", via=via, to_tag="t"))
    other = parse(request(via=via, call_id="c9"))
    assert isinstance(invite, Request) and isinstance(ack, Request) and isinstance(other, Request)
    made = bench.layer.accept(invite, ALICE, BOB, bench, 0)
    assert bench.layer.find_server(invite) is made and bench.layer.find_server(ack) is made
    assert bench.layer.find_server(other) is None


@pytest.mark.parametrize("kind", list(Kind))
def test_every_state_of_a_table_can_be_reached_and_left(kind: Kind) -> None:
    table = TABLES[kind]
    starts = {Kind.CLIENT_INVITE: State.CALLING, Kind.SERVER_INVITE: State.PROCEEDING}
    reached, todo = set(), [starts.get(kind, State.TRYING)]
    while todo:
        state = todo.pop()
        if state not in reached:
            reached.add(state)
            todo += [after for (before, _), (after, _) in table.items() if before is state]
    assert {state for state, _ in table} | {State.TERMINATED} == reached
    assert State.TERMINATED not in {state for state, _ in table}


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("event", list(Event))
def test_an_event_that_means_nothing_changes_nothing(bench: Bench, kind: Kind, event: Event) -> None:
    """Every pair that is not in the table: no change, nothing sent, nothing told."""
    for state in State:
        if (state, event) in TABLES[kind]:
            continue
        made = parse(request("INVITE" if "INVITE" in kind.name else "BYE"))
        assert isinstance(made, Request)
        transaction = Transaction(kind, (), made, BOB, ALICE, bench, bench.layer)
        transaction.state = state
        transaction.fire(event, 0.0)
        assert transaction.state is state and bench.sent == [] and bench.told == []


# ---------------------------------------------------------------------------- on a reliable transport

TCP_ALICE, TCP_BOB = ALICE._replace(transport="tcp"), BOB._replace(transport="tcp")


@pytest.mark.parametrize("method", ["INVITE", "BYE"], ids=["A and B", "E and F"])
def test_over_tcp_a_request_is_sent_once_and_still_given_up(bench: Bench, method: str) -> None:
    bench.client(method, TCP_BOB, TCP_ALICE)
    bench.run(31.9)
    assert bench.told == [] and bench.times(method.encode()) == [0]
    bench.run(32.1)
    assert bench.told == ["timeout", "terminated"]


def test_over_tcp_a_request_in_proceeding_is_not_repeated_either(bench: Bench) -> None:
    bench.get(bench.client("BYE", TCP_BOB, TCP_ALICE), 100)
    bench.run(100)
    assert bench.times(b"BYE") == [0] and bench.told == ["100", "timeout", "terminated"]


def test_over_tcp_a_failure_is_sent_once_and_h_still_waits_for_the_ack(bench: Bench) -> None:
    bench.respond(bench.server("INVITE", TCP_ALICE, TCP_BOB), 486)
    bench.run(31.9)
    assert bench.times(b"486") == [0] and bench.told == []
    bench.run(32.1)
    assert bench.told == ["timeout", "terminated"]


@pytest.mark.parametrize(
    ("method", "status", "lasts"),
    [("INVITE", 486, 0.0), ("INVITE", 200, 32.0), ("BYE", 200, 0.0), ("BYE", 481, 0.0)],
    ids=["D", "M", "K 2xx", "K failure"],
)
def test_over_tcp_a_client_waits_for_no_copies_but_of_a_2xx(
    bench: Bench, method: str, status: int, lasts: float
) -> None:
    transaction = bench.client(method, TCP_BOB, TCP_ALICE)
    bench.get(transaction, status)
    assert bench.told == [str(status)] and not transaction.over  # D and K are zero, and told before they end
    assert len(bench.times(b"ACK")) == (status == 486)
    bench.run(lasts)
    assert transaction.over and bench.layer.clients == {}


@pytest.mark.parametrize(
    ("method", "status", "lasts"), [("INVITE", 200, 32.0), ("BYE", 200, 0.0)], ids=["L", "J"]
)
def test_over_tcp_a_server_waits_for_no_copies_but_of_an_invite(
    bench: Bench, method: str, status: int, lasts: float
) -> None:
    transaction = bench.server(method, TCP_ALICE, TCP_BOB)
    bench.respond(transaction, status)
    bench.run(lasts - 0.1)
    assert not transaction.over
    bench.run(lasts)
    assert transaction.over and bench.layer.servers == {} and bench.layer._towards == {}


def test_over_tcp_an_ack_ends_a_failure_at_once(bench: Bench) -> None:
    ringing = bench.server("INVITE", TCP_ALICE, TCP_BOB)
    bench.respond(ringing, 486)
    ringing.fire(Event.GOT_ACK, bench.now)
    bench.run(0.0)
    assert bench.told == ["terminated"]


def test_a_lost_connection_repeats_what_nobody_answered_once_and_in_order(bench: Bench) -> None:
    bench.client("INFO", TCP_BOB, TCP_ALICE, "1")
    bench.client("BYE", TCP_BOB, TCP_ALICE, "2")
    bench.client("INVITE", BOB, ALICE, "3")  # over UDP: none of its business
    bench.sent.clear()
    bench.layer.lost(TCP_BOB, TCP_ALICE, 0)
    assert [data.split()[0] for _, data in bench.sent] == [b"INFO", b"BYE"]
    bench.layer.lost(TCP_BOB, TCP_ALICE, 0)
    assert bench.told == ["unreachable", "terminated"] * 2 and len(bench.sent) == 2


def test_a_call_that_rings_outlives_its_connection(bench: Bench) -> None:
    calling = bench.client("INVITE", TCP_BOB, TCP_ALICE)
    bench.get(calling, 180)
    for _ in range(3):
        bench.layer.lost(TCP_BOB, TCP_ALICE, 0)
    bench.layer.unreachable(TCP_BOB, TCP_ALICE, 0)
    bench.get(calling, 200)
    assert bench.told == ["180", "200"] and len(bench.sent) == 1


def test_the_answer_of_a_lost_connection_goes_where_its_via_says(bench: Bench) -> None:
    flow = Address("192.0.2.1", 40_001, "tcp")
    via = "Via: SIP/2.0/TCP 192.0.2.1:5070;branch=z9hG4bK-7;received=192.0.2.1;rport=40001"
    made = parse(request(via=via))
    assert isinstance(made, Request)
    ringing = bench.layer.accept(made, flow, TCP_BOB, bench, 0)
    bench.respond(ringing, 180)
    bench.layer.lost(flow, TCP_ALICE, 0)  # another socket's
    bench.respond(ringing, 180)
    bench.layer.lost(flow, TCP_BOB, 0)
    bench.respond(ringing, 486)
    assert bench.went == [flow, flow, Address("192.0.2.1", 5070, "tcp")]
    ringing.fire(Event.GOT_ACK, bench.now)
    bench.run(0.0)
    assert bench.layer._towards == {} and bench.layer.servers == {}
