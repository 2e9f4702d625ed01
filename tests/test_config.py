"""Settings: what is right loads, what is wrong is one clear error that names file, line, key and remedy."""

# ruff: noqa: E501 - a table of wrong settings is read across, one row a line

from __future__ import annotations

import contextlib
import shutil
import tomllib
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from qm_sip.config import Duration, Listen, SocketAddress, advise, load, load_all_errors
from qm_sip.config.document import document
from qm_sip.config.environment import variables
from qm_sip.config.numbers import NumberRange, NumberTable, normal
from qm_sip.config.reading import NOT_BUILT
from qm_sip.config.toml_lines import KeyLines
from qm_sip.config.whole import FILES, Config
from qm_sip.errors import ConfigError
from qm_sip.policy.facts import Direction, LineKind

ROOT = Path(__file__).parent.parent
SITE = ROOT / "tests/cases/site"
KEY = "age1lggyhqrw2nlhcxprm67z43rta597azn8gknawjehu9d9dl0jq3yqqvfafg"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SITE, tmp_path / "site"))


def edit(site: Path, file: str, old: str, new: str) -> int:
    """Replace text in a settings file; returns the line that now holds the mark #! (0 if none does)."""
    path = site / file
    text = path.read_text()
    assert text.count(old) >= 1, old
    text = text.replace(old, new, 1) if old else text + new
    path.write_text(text)
    return next((number for number, line in enumerate(text.split("\n"), 1) if "#!" in line), 0)


# --------------------------------------------------------------------------- what is right


def test_the_shipped_settings_load_and_record_nothing() -> None:
    config = load(ROOT / "config", {})
    assert config.lines.line == {}
    assert config.lines.customer.capture == "none" and not config.lines.customer.listen
    assert config.regulation.regulation.lacks(date(2026, 3, 2)) == "its status is draft"
    assert config.server.keys == {}


EXAMPLES = sorted(path.name for path in (ROOT / "config/examples").iterdir())


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_examples_load(example: str) -> None:
    environ = {} if example == "load" else {"QM_SIP_KEYS_COACHING_RECIPIENTS": KEY}
    assert load_all_errors(ROOT / "config/examples" / example, environ) == []


def test_the_demo_does_not_record_before_it_has_keys() -> None:
    with pytest.raises(ConfigError, match=r"nobody holds a key.*qm-sip keys generate"):
        load(ROOT / "config/examples/demo", {})


def test_the_demo_is_the_site_of_the_testbed() -> None:
    config = load(ROOT / "config/examples/demo", {"QM_SIP_KEYS_COACHING_RECIPIENTS": KEY})
    assert config.server.sip.listen == (Listen("udp", "127.0.0.2", 5080),)
    assert config.peer_of("127.0.0.1", 5060) == "asterisk"
    assert config.peer_of("127.0.0.20", 5060) is None
    assert {name: line.announce for name, line in config.lines.line.items()} == {
        "sales": "on-answer",
        "waiting": "receipt",
        "support": "before-ring",
        "outbound": "on-answer",
    }
    assert config.route("asterisk", "1001").direction is Direction.INBOUND  # type: ignore[union-attr]
    assert config.route("asterisk", "0612345678").direction is Direction.OUTBOUND  # type: ignore[union-attr]


def test_the_load_example_takes_every_caller_on_loopback_and_nobody_else() -> None:
    config = load(ROOT / "config/examples/load", {})
    assert config.peer_of("127.0.0.1", 5072) == "callee"
    assert config.peer_of("127.0.0.1", 5073) == config.peer_of("127.9.9.9", 1) == "generator"
    assert config.peer_of("10.0.0.1", 5060) is None
    route = config.route("generator", "anything")
    assert route is not None
    assert config.peer(route.to).next_hop == SocketAddress("127.0.0.1", 5072)


def test_a_line_inherits_what_every_customer_line_says(site: Path) -> None:
    lines = load(site, {}).lines.line
    assert lines["sales"].controller == "Voorbeeld Energie"
    assert lines["sales"].announce == "on-answer" and lines["service"].announce == "before-ring"
    assert lines["orders"].controller == "Voorbeeld Bank"
    assert lines["reception"].capture == "none"  # not customer-facing: nothing is inherited


def test_an_agent_inherits_from_default(site: Path) -> None:
    people = load(site, {}).people
    assert set(people.agent) == {"a1", "a2", "a3", "a4", "a5", "a6"}
    assert people.agent["a1"].monitorable and not people.agent["a2"].monitorable
    assert people.agent["a3"].notice.version == "2" and people.agent["a1"].notice.version == "3"


def test_nothing_can_be_changed_afterwards(site: Path) -> None:
    config = load(site, {})
    with pytest.raises(ValidationError):
        config.lines.line["sales"].capture = "none"  # type: ignore[misc]
    with pytest.raises(TypeError):
        config.lines.line["new"] = config.lines.line["sales"]  # type: ignore[index]
    with pytest.raises(AttributeError):
        config.lines = config.lines  # type: ignore[misc]


def test_versions_follow_the_bytes_of_each_file(site: Path) -> None:
    before = load(site, {}).versions
    edit(site, "people.toml", "[agent.a1]", "# somebody\n[agent.a1]")
    after = load(site, {}).versions
    assert (before.lines, before.regulation) == (after.lines, after.regulation)
    assert before.people != after.people and after.people.startswith("sha256:")


def test_paths_count_from_the_directory_of_the_file() -> None:
    config = load(ROOT / "config/examples/load", {})
    assert config.server.prompts.directory == ROOT / "config/examples/load/prompts"
    assert config.server.storage.directory == Path("/tmp/qm_sip-load")


def test_keys_can_be_given_later() -> None:
    config = load(ROOT / "config/examples/load", {})
    assert config.recipients("contract_evidence") == ()
    assert config.with_recipients({"contract_evidence": (KEY,)}).recipients("contract_evidence") == (KEY,)


# --------------------------------------------------------------------------- the environment


def test_the_environment_replaces_settings(site: Path) -> None:
    config = load(
        site,
        {
            "QM_SIP_SIP_LISTEN": "udp:127.0.0.9:5090, udp:127.0.0.9:5091",
            "QM_SIP_MEDIA_PORTS": "30000-30099",
            "QM_SIP_MEDIA_ADDRESS": "127.0.0.9",
            "QM_SIP_STORAGE_DIRECTORY": "/srv/calls",
            "QM_SIP_CONTROL_SOCKET": "here/control",
            "QM_SIP_PEER_CARRIER_NEXT_HOP": "127.0.0.21:5060",
            "QM_SIP_PEER_CARRIER_ADDRESSES": "127.0.0.21,127.0.0.22:5060",
            "QM_SIP_CONFIG": "not a setting, and not ours to judge",
            "HOME": "/root",
        },
    )
    server = config.server
    assert [listen.port for listen in server.sip.listen] == [5090, 5091]
    assert (server.media.ports, server.media.address) == ((30000, 30099), "127.0.0.9")
    assert server.storage.directory == Path("/srv/calls")
    assert server.control.socket == Path("here/control").absolute()
    assert server.peers["carrier"].next_hop == SocketAddress("127.0.0.21", 5060)
    assert config.peer_of("127.0.0.22", 5060) == "carrier" and config.peer_of("127.0.0.20", 5060) is None


def test_the_environment_moves_the_one_target_of_the_load_example() -> None:
    config = load(ROOT / "config/examples/load", {"QM_SIP_ROUTE_NEXT_HOP": "127.0.0.1:6000"})
    assert config.server.peers["callee"].next_hop == SocketAddress("127.0.0.1", 6000)


@pytest.mark.parametrize(
    ("variable", "value", "problem"),
    [
        ("QM_SIP_MEDIA_PORTS", "abc", "list|whole number"),
        ("QM_SIP_MEDIA_PORTS", "80-90", "greater than"),
        ("QM_SIP_SIP_LISTEN", "udp:nowhere:5080", "not an IP address"),
        ("QM_SIP_SIP_LISTENS", "udp:127.0.0.1:5080", "no such setting"),
        ("QM_SIP_PEER_NOBODY_NEXT_HOP", "127.0.0.1:5060", "no such peer"),
        ("QM_SIP_PEER_CARRIER_NEXT_HOP", "127.0.0.1", "an address and a port"),
        ("QM_SIP_ROUTE_NEXT_HOP", "127.0.0.1:1", "not exactly one peer"),
        ("QM_SIP_STORAGE_DIRECTORY", "", "must name"),
    ],
)
def test_a_wrong_variable_is_named(site: Path, variable: str, value: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem) as caught:
        load(site, {variable: value})
    assert (caught.value.file, caught.value.key) == ("environment", variable)


# --------------------------------------------------------------------------- what is wrong

SERVER, LINES, PEOPLE, REGULATION = FILES

WRONG = [
    # file, what is replaced, by what (#! marks the line the error must name), key, problem
    (SERVER, "[peers.carrier]", "[sip]\nlisten = []  #!\n[peers.carrier]", "sip.listen", "at least 1"),
    (SERVER, "[peers.carrier]", '[sip]\nlisten = ["127.0.0.1:5080"]#!\n[peers.carrier]', "sip.listen[0]", "udp:"),
    (SERVER, 'addresses = ["127.0.0.20"]', 'tls_identity = ["pbx.example"] #!', "peers.carrier.tls_identity", "is never looked at"),
    (SERVER, 'addresses = ["127.0.0.20"]', 'tls_identity = ["*.example"] #!', "peers.carrier.tls_identity[0]", "no wildcard"),
    (SERVER, 'addresses = ["127.0.0.20"]', 'addresses = ["127.0.0.20"]\ntls_verify = false #!', "peers.carrier.tls_verify", "needs a reason"),
    (SERVER, 'addresses = ["127.0.0.20"]', 'addresses = ["127.0.0.20"]\ntls_name = "pbx.example" #!', "peers.carrier.tls_name", "without transport"),
    (SERVER, 'addresses = ["127.0.0.20"]', 'addresses = ["127.0.0.20"]\nsrtp = "require" #!', "peers.carrier.srtp", "sends keys readable"),
    (SERVER, 'addresses = ["127.0.0.20"]', 'addresses = ["127.0.0.20"]\nsrtp = "sdes" #!', "peers.carrier.srtp", "'off', 'opportunistic', 'offer' or 'require'"),
    (SERVER, 'addresses = ["127.0.0.20"]', 'addresses = ["127.0.0.20"]\nsrtp_suites = ["AEAD_AES_128_GCM"] #!', "peers.carrier.srtp_suites", "says nothing while"),
    (SERVER, "[peers.carrier]", '[sip.connections]\nidle = "1s"#!\n[peers.carrier]', "sip.connections.idle", "from 10 to 86400"),
    (SERVER, "[peers.carrier]", '[sip.connections]\nmost = 0#!\n[peers.carrier]', "sip.connections.most", "greater than"),
    (SERVER, "[peers.carrier]", '[sip]\nlisten = ["tcp:127.0.0.1"]#!\n[peers.carrier]', "sip.listen[0]", "address and a port"),
    (SERVER, "[peers.carrier]", '[sip]\nlisten = ["tcp:127.0.0.1:1", "tcp:127.0.0.1:1"]#!\n[peers.carrier]', "sip.listen", "listed twice"),
    (SERVER, 'addresses = ["127.0.0.20"]', 'addresses = ["127.0.0.20"]\ntransport = "tcp" #!', "peers.carrier.transport", "do not listen on tcp"),
    (SERVER, 'addresses = ["127.0.0.20"]', 'addresses = ["127.0.0.20"]\ntransport = "sctp" #!', "peers.carrier.transport", "'udp', 'tcp' or 'tls'"),
    (SERVER, "[peers.carrier]", '[sip]\nlisten = "udp:127.0.0.1:5080"#!\n[peers.carrier]', "sip.listen", "a list, not text"),
    (SERVER, "[peers.carrier]", "[sip]\nliste = []  #!\n[peers.carrier]", "sip.liste", "did you mean listen?"),
    (SERVER, "[peers.carrier]", '[media]\naddress = "300.0.0.1" #!\n[peers.carrier]', "media.address", "not an IP"),
    (SERVER, "[peers.carrier]", "[media]\nports = [30000, 20000] #!\n[peers.carrier]", "media.ports", "lowest"),
    (SERVER, "[peers.carrier]", "[media]\nports = [20000, 70000] #!\n[peers.carrier]", "media.ports[1]", "65535"),
    (SERVER, "[peers.carrier]", '[media]\nports = ["a", 70] #!\n[peers.carrier]', "media.ports[0]", "whole number"),
    (SERVER, "[peers.carrier]", '[sip]\nstrangers = "404" #!\n[peers.carrier]', "sip.strangers", "'403' or 'silence'"),
    (SERVER, "[peers.carrier]", "[sip]\nmax_calls = -1 #!\n[peers.carrier]", "sip.max_calls", "0"),
    (SERVER, "[peers.carrier]", '[sip]\nmax_lag = "soon" #!\n[peers.carrier]', "sip.max_lag", "length of time"),
    (SERVER, "[peers.carrier]", '[sip]\nmax_lag = "P1M" #!\n[peers.carrier]', "sip.max_lag", "from 0 to 60 seconds"),
    (SERVER, "[peers.carrier]", '[sip]\nban_for = "P1Y" #!\n[peers.carrier]', "sip.ban_for", "from 1 to 2592000 seconds"),
    (SERVER, "[peers.carrier]", '[sip]\nnonce_age = "0s" #!\n[peers.carrier]', "sip.nonce_age", "from 1 to 86400 seconds"),
    (SERVER, "[peers.carrier]", '[sip]\nnext_hop_wait = "P1M" #!\n[peers.carrier]', "sip.next_hop_wait", "from 0.1 to 32 seconds"),
    (SERVER, "[peers.carrier]", '[sip.connections]\nkeep_alive = "P1M" #!\n[peers.carrier]', "sip.connections.keep_alive", "from 5 to 3600"),
    (LINES, "listen = true", 'prompt_max = "P1M"', "line.sales.prompt_max", "from 1 to 600 seconds"),
    (SERVER, 'addresses = ["127.0.0.20"]', 'addresses = ["127.0.0.20"]\nauth = "digest" #!', "peers.carrier.auth", "has no users"),
    (SERVER, 'addresses = ["127.0.0.20"]', 'addresses = ["127.0.0.20"]\nusers = { a = "b" } #!', "peers.carrier.users", "nothing without auth"),
    (SERVER, 'addresses = ["127.0.0.20"]', 'addresses = ["127.0.0.20"]\nalgorithms = ["MD5", "MD5"] #!', "peers.carrier.algorithms", "twice"),
    (SERVER, 'addresses = ["127.0.0.20"]', 'addresses = ["127.0.0.20"]\nalgorithms = ["SHA-1"] #!', "peers.carrier.algorithms[0]", "SHA-256"),
    (SERVER, "[peers.carrier]", "[medai] #!\n[peers.carrier]", "medai", "did you mean media?"),
    (SERVER, 'addresses = ["127.0.0.20"]', 'addresses = ["127.0.0.0/33"] #!', "peers.carrier.addresses[0]", "network"),
    (SERVER, 'addresses = ["127.0.0.20"]', 'addresses = ["host.example"] #!', "peers.carrier.addresses[0]", "IP"),
    (SERVER, 'addresses = ["127.0.0.20"]', 'addresses = ["127.0.0.20:0"] #!', "peers.carrier.addresses[0]", "port"),
    (SERVER, 'addresses = ["127.0.0.20"]', 'addresses = ["127.0.0.1:5060"] #!', "peers.carrier.addresses", "peers.asterisk"),
    (SERVER, 'addresses = ["127.0.0.20"]', 'addresses = ["127.0.0.20"]\nmay = ["fly"] #!', "peers.carrier.may[0]", "carry"),
    (SERVER, 'addresses = ["127.0.0.20"]', 'addresses = ["127.0.0.20"]\nmay = ["carry", "listen"] #!', "peers.carrier.may", "not trusted"),
    (SERVER, 'addresses = ["127.0.0.20"]', 'addresses = ["127.0.0.20"]\nmay = ["watch"] #!', "peers.carrier.may", "whose phone wants to watch"),
    (SERVER, "[peers.carrier]", '[lamps]\nshortest = "0s" #!\n[peers.carrier]', "lamps.shortest", "from 1 to 3600 seconds"),
    (SERVER, "[peers.carrier]", '[lamps]\nlongest = "P1M" #!\n[peers.carrier]', "lamps.longest", "seconds long"),
    (SERVER, "[peers.carrier]", '[lamps]\nlongest = "30s" #!\n[peers.carrier]', "lamps.longest", "shorter than lamps.shortest"),
    (SERVER, "[peers.carrier]", '[lamps]\ngap = "2m" #!\n[peers.carrier]', "lamps.gap", "from 0 to 60 seconds"),
    (SERVER, "[peers.carrier]", "[lamps]\nmost = 0 #!\n[peers.carrier]", "lamps.most", "greater than or equal to 1"),
    (SERVER, 'addresses = ["127.0.0.20"]', 'addresses = ["127.0.0.20"]\nusername = "u"', "peers.carrier", "go together"),
    (SERVER, "[peers.carrier]", '[sip]\ncarry_headers = ["X-A", "Via"] #!\n[peers.carrier]', "sip.carry_headers[1]", "one hop or one dialog"),
    (SERVER, 'addresses = ["127.0.0.20"]', 'addresses = ["127.0.0.20"]\ncarry = ["v"] #!', "peers.carrier.carry[0]", "one hop or one dialog"),
    (SERVER, 'addresses = ["127.0.0.20"]', 'addresses = ["127.0.0.20"]\ncarry = ["Proxy-Anything"] #!', "peers.carrier.carry[0]", "one hop or one dialog"),
    (SERVER, 'addresses = ["127.0.0.20"]', 'addresses = ["127.0.0.20"]\ncarry = ["P-Asserted-Identity"] #!', "peers.carrier.carry[0]", "rule of its own"),
    (SERVER, 'addresses = ["127.0.0.20"]', 'addresses = ["127.0.0.20"]\ncarry = ["X-Ok", "No Name"] #!', "peers.carrier.carry[1]", "not a SIP header name"),
    (SERVER, 'addresses = ["127.0.0.20"]', 'addresses = ["127.0.0.20"]\ncarry = ["X-QM-Line"] #!', "peers.carrier.carry[0]", "believed"),
    (SERVER, 'addresses = ["127.0.0.20"]', 'addresses = ["127.0.0.20"]\nbodies = ["isup"] #!', "peers.carrier.bodies[0]", "not a media type"),
    (SERVER, 'addresses = ["127.0.0.20"]', 'addresses = ["127.0.0.20"]\nbodies = ["multipart/mixed"] #!', "peers.carrier.bodies[0]", "read here"),
    (SERVER, 'addresses = ["127.0.0.20"]', 'addresses = ["127.0.0.20"]\nstrip = ["a:b"] #!', "peers.carrier.strip[0]", "not a SIP header name"),
    (SERVER, 'addresses = ["127.0.0.20"]', 'addresses = ["127.0.0.20"]\nremote_party_id = true #!', "peers.carrier.remote_party_id", "not read"),
    (SERVER, 'next_hop = "127.0.0.20:5060"', "", "routes[2].to", "has no next_hop"),
    (SERVER, 'from = "carrier"', 'from = "nobody" #!', "routes[1].from", "no peer 'nobody'"),
    (SERVER, 'direction = "outbound"', 'direction = "sideways" #!', "routes[2].direction", "'inbound' or 'outbound'"),
    (SERVER, 'from = "carrier"\nto = "asterisk"', 'from = "asterisk"\nto = "asterisk"', "routes[1]", "same calls as routes"),
    (SERVER, "[keys.coaching]", "[keys.marketing] #!", "keys.marketing", "no purpose 'marketing'"),
    (SERVER, f'recipients = ["{KEY}"]', 'recipients = ["age1nonsense"] #!', "keys.coaching.recipients", "keys generate"),
    (SERVER, "[peers.carrier]", "[unsafe]\nload_test = 1 #!\n[peers.carrier]", "unsafe.load_test", "true or false"),
    (LINES, 'emergency = ["112"]', 'emergency = ["one"] #!', "never.emergency", "digits"),
    (LINES, 'emergency = ["112"]', "blind_relay_confidential = true #!", "never.blind_relay_confidential", "not built"),
    (LINES, 'reason = "KSF15-2.1l" },', 'raeson = "x" },', "never.confidential[0].raeson", "did you mean reason?"),
    (LINES, 'ranges = ["1000-1099"]', 'ranges = ["1000-999"] #!', "internal.ranges", "one length"),
    (LINES, 'ranges = ["1000-1099"]', 'ranges = ["1099-1000"] #!', "internal.ranges", "above the last"),
    (LINES, 'ranges = ["1000-1099"]', 'ranges = ["1000"] #!', "internal.ranges", "two numbers"),
    (LINES, 'country = "31"', 'country = "NL" #!', "numbering.country", "pattern"),
    (LINES, 'languages = ["nl", "en"]', 'languages = ["Dutch"] #!', "customer.languages[0]", "not a language"),
    (LINES, 'capture = "all"\nlisten', 'capture = "sample"\nlisten', "line.sales.sample", "is required"),
    (LINES, 'capture = "all"\nlisten', 'capture = "sample"\nsample = 1.5 #!\nlisten', "sample", "less than or equal to 1"),
    (LINES, 'capture = "all"\nlisten', 'capture = "trigger"\nlisten', "line.sales.trigger", "needs a trigger"),
    (LINES, 'capture = "all"\nlisten', 'capture = "trigger"\ntrigger = [{ name = "a" }]\nlisten', "line.sales.trigger[0]", "every call"),
    (LINES, 'capture = "all"\nlisten', 'capture = "trigger"\ntrigger = [{ name = "a", queues = ["b"] }, { name = "a", queues = ["c"] }]\nlisten', "line.sales.trigger[1].name", "another trigger"),
    (LINES, 'capture = "all"\nlisten', 'capture = "trigger"\ntrigger = [{ name = "a", header = { name = "X-B", values = ["c"] } }]\nlisten', "line.sales.trigger[0].header.name", "carry_headers"),
    (LINES, 'capture = "all"\nlisten', 'capture = "trigger"\ntrigger = [{ name = "a", caller = ["06"] }] #!\nlisten', "trigger[0].caller", "not a setting"),
    (LINES, 'capture = "all"\nlisten', 'capture = "evrything" #!\nlisten', "capture", "'trigger' or 'all'"),
    (LINES, "listen = true", 'listen = "yes" #!', "listen", "true or false, not text"),
    (LINES, "listen = true", "hold = \"recorded\" #!", "hold", "only 'not-recorded' is built"),
    (LINES, "listen = true", "must_record = true #!", "must_record", "only False is built"),
    (LINES, "listen = true", 'info_key = "7" #!', "info_key", "only '8' is built"),
    (LINES, "listen = true", 'objection_key = "8" #!', "objection_key", "two to eight keys"),
    (LINES, "listen = true", 'objection_key = "*1" #!', "customer.objection_key", "begins like private.code"),
    (LINES, "listen = true", 'objection_key = "*22" #!', "customer.objection_key", "begins like pause.code"),
    (LINES, "listen = true", 'opt_out_key_in_call = "*8" #!', "customer.opt_out_key_in_call", "begins like customer.info_key_in_call"),
    (LINES, "listen = true", 'opt_out_key_in_call = "99" #!', "customer.opt_out_key_in_call", "begins like customer.opt_out_key"),
    (LINES, '[line.sales]\nkind', '[line.sales]\nobjection_key = "*11" #!\nkind', "line.sales.objection_key", "begins like private.code"),
    (LINES, "listen = true", 'pause_resume_after = "2h"', "line.sales.pause_resume_after", "from 1 to 3600"),
    (LINES, "listen = true", 'prompt_max = "15" #!', "prompt_max", "not a length of time"),
    (LINES, "listen = true", "prompt_max = 15 #!", "prompt_max", "text in quotes, not a number"),
    (LINES, '[line.sales]\nkind = "customer-facing"', '[line.sales]\nkind = "special" #!', "line.sales.kind", "'private'"),
    (LINES, '[line.sales]\nkind = "customer-facing"', "[line.sales] #!", "line.sales.kind", "required"),
    (LINES, '[line.reception]\nkind = "unlisted"', '[line.reception]\nkind = "emergency" #!', "line.reception.kind", "emergency"),
    (LINES, '[line.reception]', '[line.reception]\ncapture = "all" #!', "line.reception.capture", "unlisted"),
    (LINES, '"0201230002"', '"0201230001"', "line.contracts.match.numbers", "also in line.sales"),
    (LINES, '"0201230002"', '"+31 20 123 0001"', "line.contracts.match.numbers", "also in line.sales"),
    (LINES, '"0201230002"', '"1900"', "line.contracts.match.numbers", "confidential elsewhere"),
    (LINES, 'queues = ["campaign"]', 'queues = ["sales"]', "line.campaign.match.queues", "also in line.sales"),
    (LINES, '"0201230150-0201230159"', '"0201230190-0201230209"', "line.service-quiet.match.ranges", "line.service"),
    (LINES, 'trunks = ["carrier"]', 'trunks = ["nobody"]', "line.switchboard.match.trunks", "no peer 'nobody'"),
    (LINES, 'match = { trunks = ["carrier"] }', 'match = { direction = "inbound" } #!', "line.switchboard.match", "no call"),
    (LINES, 'purposes = ["coaching"]', 'purposes = ["marketing"]', "purposes", "no purpose 'marketing'"),
    (LINES, 'purposes = ["coaching"]', 'purposes = ["coaching", "complaint"]', "purposes", "mixes class"),
    (LINES, 'purposes = ["complaint"]', 'purposes = ["legal_duty"] #!', "line.complaints.purposes", "go together"),
    (LINES, 'controller = "Voorbeeld Energie"', 'controller = ""', "controller", "is required"),
    (LINES, 'prompt = "K1-all-short"', "", "line.sales.prompt", "is required"),
    (LINES, 'scope = "customers"', 'scope = "elsewhere"', "scope", "no scope 'elsewhere'"),
    (LINES, 'scope = "customers"', 'scope = "later"', "line.service.scope", "process_improvement"),
    (LINES, 'purposes = ["complaint"]', 'opt_out = false #!\npurposes = ["complaint"]', "line.complaints.opt_out", "WP-26"),
    (LINES, "[line.sales]", '[private]\ncode = "*" #!\n[line.sales]', "private.code", "two to eight keys"),
    (LINES, "[line.sales]", '[private]\nnext_call = "67" #!\n[line.sales]', "private.next_call", "nobody's number"),
    (LINES, "[line.sales]", '[private]\nprefix = "*6" #!\n[line.sales]', "private.prefix", "for next-call begins like it"),
    (LINES, "[line.sales]", '[private]\noff = "*67" #!\n[line.sales]', "private.off", "also the code for next-call"),
    (LINES, "[line.sales]", '[private]\npreset_max = "2d" #!\n[line.sales]', "private.preset_max", "from 60 to 86400"),
    (LINES, "[line.sales]", '[private]\npreset_max = "P1M" #!\n[line.sales]', "private.preset_max", "from 60 to 86400"),
    (LINES, "[line.sales]", '[private]\nreturn_in_call = true #!\n[line.sales]', "private.return_in_call", "only False is built"),
    (LINES, "[line.sales]", '[private]\non_duty_line = "allow" #!\n[line.sales]', "private.on_duty_line", "only 'refuse' is built"),
    (LINES, "[line.sales]", '[pause]\ncode = "*1" #!\n[line.sales]', "pause.code", "begins like private.code"),
    (LINES, "[line.sales]", '[monitoring]\ncode = "*69" #!\n[line.sales]', "monitoring.code", "also the code for off"),
    (LINES, '[internal]\nextensions = ["1800"]', '[monitoring]\ncode = "*55" #!\n[internal]\nextensions = ["1800", "*55"]', "monitoring.code", "also a number"),
    (PEOPLE, 'extensions = ["1006"]', 'extensions = ["1001"] #!', "agent.a6.extensions", "agent a1"),
    (PEOPLE, 'extensions = ["1006"]', 'extensions = ["A"] #!', "agent.a6.extensions", "digits"),
    (PEOPLE, 'extensions = ["1006"]', 'extensions = ["1006"]\nreason = ""', "agent.a6.monitorable", "reason"),
    (PEOPLE, 'extensions = ["1006"]', 'confidential = "some-calls" #!', "agent.a6.confidential", "all-calls"),
    (PEOPLE, 'extensions = ["1006"]', 'confidential = "all-calls"', "agent.a6.monitorable", "cannot be monitorable"),
    (PEOPLE, 'extensions = ["1006"]', 'manager = "a6" #!', "agent.a6.manager", "own manager"),
    (PEOPLE, 'extensions = ["1006"]', 'notice = { given = "soon" } #!', "agent.a6.notice.given", "date such as"),
    (PEOPLE, 'expires = "P1M"', 'expires = "a month" #!', "monitor.m3.expires", "length of time"),
    (PEOPLE, 'expires = "P1M"', "tries = 0 #!", "monitor.m3.tries", "greater than or equal to 1"),
    (PEOPLE, 'expires = "P1M"', "whisper = true #!", "monitor.m3.whisper", "only False is built"),
    (PEOPLE, 'expires = "P1M"', 'code_hash = "123456" #!', "monitor.m3.code_hash", "monitors code"),
    (PEOPLE, 'expires = "P1M"', 'agents = ["a9"] #!', "monitor.m3.agents", "no agent 'a9'"),
    (PEOPLE, 'expires = "P1M"', 'may = ["listen"]\nextensions = ["1010"]', "monitor.m3.modes", "needs the mode live"),
    (PEOPLE, 'expires = "P1M"', 'may = ["listen"]\nmodes = ["live"]', "monitor.m3.extensions", "phone of his own"),
    (PEOPLE, 'expires = "P1M"', 'may = ["watch"]', "monitor.m3.extensions", "phone of his own"),
    (PEOPLE, 'expires = "P1M"', 'capacity = "peer"\nmay = ["listen"]\nextensions = ["1010"]\nmodes = ["live"] #!', "monitor.m3.modes", "needs the mode peer"),
    (PEOPLE, 'expires = "P1M"', 'capacity = "peer"\nmay = ["export"] #!', "monitor.m3.may", "no copy out"),
    (PEOPLE, 'purposes = ["coaching", "process_improvement"]', 'purposes = ["coaching", "assessment"] #!\ncapacity = "peer"', "monitor.m2.purposes", "KSF15-0.9"),
    (PEOPLE, '["coaching"]\nsecrecy', '["coaching"]\ngranted_by = "m4" #!\nsecrecy', "monitor.m4.granted_by", "himself"),
    (PEOPLE, 'purposes = ["coaching"]\nmay', 'purposes = ["gossip"] #!\nmay', "monitor.m1.purposes", "gossip"),
    (REGULATION, 'status = "in-force"', 'status = "valid" #!', "regulation.status", "'draft', 'in-force' or 'suspended'"),
    (REGULATION, "met = [2025-10-15]", "met = []", "regulation.status", "consent is not complete"),
    (REGULATION, ", from = 2026-01-01", "", "regulation.consent", "from when"),
    (REGULATION, 'scope = ["customers"]', 'scope = ["all"]', "regulation.consent.scope", "no scope 'all'"),
    (REGULATION, 'version = "2026-1"', 'version = ""', "regulation.status", "it has no version"),
    (REGULATION, "[purposes.coaching]", "[purposes.marketing] #!\nground = { agent = \"f\", customer = \"f\" }\n[purposes.coaching]", "purposes.marketing", "no rules"),
    (REGULATION, 'ground = { agent = "b", customer = "f" }', 'ground = { agent = "b", customer = "b" } #!', "purposes.coaching.ground.customer", "must be f"),
    (REGULATION, 'ground = { agent = "b", customer = "f" }', 'ground = { agent = "b", customer = "z" } #!', "purposes.coaching.ground.customer", "'a'"),
    (REGULATION, 'ground = { agent = "b", customer = "f" }', "", "purposes.coaching.ground", "required"),
    (REGULATION, 'modes = ["live", "later", "together"', 'modes = ["whisper", "later", "together" #!\n', "purposes.coaching.modes[0]", "must be"),
    (REGULATION, '[purposes.process_improvement]\nmodes = ["later"]', '[purposes.process_improvement]\nmodes = ["live"] #!', "purposes.process_improvement.modes", "KSF15-1.2"),
    (REGULATION, 'protocol = "protocol 2026, consent of 2025-11-01"', "", "purposes.assessment.enabled", "protocol"),
    (REGULATION, "[purposes.complaint]", "[purposes.complaint]\nopt_out = false #!", "purposes.complaint.opt_out", "only legal_duty"),
    (REGULATION, '[purposes.complaint]\nclass = "logging"', '[purposes.complaint]\nclass = "quality" #!', "purposes.complaint.class", "logging"),
    (REGULATION, 'complaint = "P1Y"', "", "line.complaints.purposes", "clocks.complaint"),
    (REGULATION, "[clocks]", '[clocks]\nquality_ceiling = "P3M" #!', "clocks.quality_ceiling", "longer than P2M"),
    (REGULATION, "[clocks]", '[clocks]\nquality_ceiling = "2 months" #!', "clocks.quality_ceiling", "P2M"),
    (REGULATION, "[clocks]", '[clocks]\nhold_max = "P3M" #!', "clocks.hold_max", "not built yet"),
    (REGULATION, "[clocks]", '[plan.p]\npurposes = ["gossip"] #!\n[clocks]', "plan.p.purposes", "gossip"),
    (REGULATION, "[clocks]", '[plan.p]\npurposes = ["coaching"]\nagents = ["a9"] #!\n[clocks]', "plan.p.agents", "no agent 'a9'"),
    (REGULATION, "[clocks]", '[plan.p]\npurposes = ["coaching"]\npublished = 2026-01-05\n[clocks]', "plan.p.alternatives_considered", "KSF15-3.5a"),
    (REGULATION, "[clocks]", '[plan.p]\npurposes = ["coaching"]\nsession_max = "P1M" #!\n[clocks]', "plan.p.session_max", "from 1 to 86400"),
    (REGULATION, "[clocks]", '[plan.p]\npurposes = ["coaching"]\npeer_scores = true #!\n[clocks]', "plan.p.peer_scores", "only False is built"),
    (REGULATION, "[clocks]", '[notices]\nagent_before_listening = "period" #!\n[clocks]', "notices.agent_before_listening", "only 'each' is built"),
    (REGULATION, 'notice_to_agents = { version = "3", days_before = 14 }', "notice_to_agents = 14 #!", "regulation.notice_to_agents", "a table, not a number"),
]  # fmt: skip


@pytest.mark.parametrize(("file", "old", "new", "key", "problem"), WRONG)
def test_each_wrong_setting_is_one_clear_error(
    site: Path, file: str, old: str, new: str, key: str, problem: str
) -> None:
    line = edit(site, file, old, new)
    errors = load_all_errors(site, {})
    fitting = [error for error in errors if error.key.endswith(key) and problem in str(error)]
    assert fitting, [str(error) for error in errors]
    if line:
        assert (file, line) in {(Path(error.file).name, error.line) for error in fitting}
    assert all(error.line for error in errors)
    with pytest.raises(ConfigError) as caught:
        load(site, {})
    assert str(caught.value) == str(errors[0])


def test_all_errors_of_all_files_are_found_at_once(site: Path) -> None:
    for file, old in ((LINES, "listen = true"), (PEOPLE, "[agent.a1]"), (REGULATION, "[clocks]")):
        edit(site, file, old, f"{old}\nnonsense = 1")
    edit(site, SERVER, "[peers.carrier]", "[nonsense]\n[peers.carrier]")
    assert {Path(error.file).name for error in load_all_errors(site, {})} == set(FILES)


@pytest.mark.parametrize("file", list(FILES))
@pytest.mark.parametrize(
    ("content", "problem", "line"),
    [
        (b"a = 1\nb = = 2\n", "is not TOML", 2),
        (b"a = 1\n\xff\n", "not UTF-8", 2),
        (b'a = 1\nb = "x\n', "is not TOML", 2),
        (b"x = 1\n", "is not a setting", 1),
        (None, "is missing", 0),
    ],
)
def test_a_file_that_cannot_be_read(
    site: Path, file: str, content: bytes | None, problem: str, line: int
) -> None:
    (site / file).unlink()
    if content is not None:
        (site / file).write_bytes(content)
    (error,) = [error for error in load_all_errors(site, {}) if Path(error.file).name == file]
    assert problem in str(error) and error.line == line


def test_a_directory_in_place_of_a_file(site: Path) -> None:
    (site / LINES).unlink()
    (site / LINES).mkdir()
    with pytest.raises(ConfigError, match=r"lines.toml: cannot be read"):
        load(site, {})


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('listen = ["udp:127.0.0.1:5080"]', 'listen = ["udp:0.0.0.0:5080"]'),
        ('address = "127.0.0.1"', 'address = "192.0.2.1"'),
        ('addresses = ["127.0.0.0/8"]', 'addresses = ["0.0.0.0/0"]'),
        ('next_hop = "127.0.0.1:5072"', 'next_hop = "192.0.2.1:5072"'),
    ],
)
def test_a_load_test_stays_on_loopback(tmp_path: Path, old: str, new: str) -> None:
    site = Path(shutil.copytree(ROOT / "config/examples/load", tmp_path / "load"))
    edit(site, SERVER, old, new)
    with pytest.raises(ConfigError, match=r"is not loopback, and unsafe\.load_test is on"):
        load(site, {})


def test_no_number_stands_in_an_error(site: Path) -> None:
    edit(site, LINES, '"0201230002"', '"0201230001"')
    assert all("0201230001" not in str(error) for error in load_all_errors(site, {}))


# --------------------------------------------------------------------------- advice

MARCH = date(2026, 3, 2)


def advice(config: Config, today: date = MARCH) -> dict[str, str]:
    return {error.key: error.problem for error in advise(config, today)}


def test_advice_on_the_site(site: Path) -> None:
    found = advice(load(site, {}))
    unplanned = {f"line.{name}.listen" for name in ("contracts", "complaints", "orders")}
    assert set(found) == {"agent.a3.notice", *unplanned}
    earlier = advice(load(site, {}), date(2026, 3, 1))
    assert set(earlier) == {"agent.a3.notice", "agent.a4.notice", *unplanned}


def test_advice_when_the_regulation_is_due_for_review(site: Path) -> None:
    assert "regulation.review_by" not in advice(load(site, {}), date(2027, 1, 1))
    assert "regulation.review_by" in advice(load(site, {}), date(2027, 1, 2))


def test_advice_when_a_line_will_record_nothing(site: Path) -> None:
    edit(site, REGULATION, 'status = "in-force"', 'status = "draft"')
    found = advice(load(site, {}))
    assert found["line.sales.capture"] == "records nothing: of the regulation, its status is draft"
    assert "line.contracts.capture" not in found and "line.switchboard.capture" not in found


def test_advice_when_a_scope_is_not_consented_to(site: Path) -> None:
    edit(site, LINES, 'match = { queues = ["sales"]', 'scope = "later"\nmatch = { queues = ["sales"]')
    assert "council has not consented" in advice(load(site, {}))["line.sales.scope"]


def test_advice_when_nobody_can_listen(site: Path) -> None:
    edit(site, REGULATION, "published = 2026-01-12", "")
    assert "no plan" in advice(load(site, {}))["line.sales.listen"]


def test_advice_on_whoever_may_listen_and_cannot(site: Path) -> None:
    edit(site, PEOPLE, 'capacity = "trainer"', 'capacity = "trainer"\ncode_hash = ""')
    edit(site, PEOPLE, 'agents = ["*"]', "agents = []")
    found = advice(load(site, {}))
    assert found["monitor.trainer.code_hash"] == "is empty: he cannot listen"
    assert found["monitor.coach.agents"] == "is empty: he may listen to nobody"


def test_advice_when_numbers_are_compared_as_written(site: Path) -> None:
    edit(site, LINES, 'country = "31"', "")
    assert "numbering.country" in advice(load(site, {}))


# --------------------------------------------------------------------------- the page


def test_the_page_of_settings_is_what_the_program_says() -> None:
    page = (ROOT / "docs/settings.md").read_text()
    assert page == document(), "python -m qm_sip.config.document docs/settings.md"
    assert all(f"`{variable}`" in page for variable, _, _ in variables())


def test_every_setting_has_a_sentence() -> None:
    rows = [line for line in document().splitlines() if line.startswith("| `")]
    assert len(rows) > 100
    assert all(len(row.split(" | ")[-1].strip("| ")) > 3 for row in rows)


@pytest.mark.parametrize(
    ("file", "place"), [(file, place) for file, places in NOT_BUILT.items() for place in places]
)
def test_what_is_not_built_says_so(site: Path, file: str, place: tuple[str, ...]) -> None:
    names = {"purposes": "coaching", "monitor": "m1"}
    path = [names[place[0]] if part == "*" else part for part in place]
    text = (site / file).read_text()
    header = f"[{'.'.join(path[:-1])}]" if path[:-1] else ""
    if header and header in text:
        text = text.replace(header, f"{header}\n{path[-1]} = 1", 1)
    else:
        text += f"\n{header}\n{path[-1]} = 1\n" if header else ""
        text = text if header else f"{path[-1]} = 1\n{text}"
    tomllib.loads(text)
    (site / file).write_text(text)
    assert any("is not built yet" in str(error) for error in load_all_errors(site, {}))


# --------------------------------------------------------------------------- the small parts


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("P2M", datetime(2026, 12, 31, 12, tzinfo=UTC), datetime(2027, 2, 28, 12, tzinfo=UTC)),
        ("P2M", datetime(2027, 12, 31, tzinfo=UTC), datetime(2028, 2, 29, tzinfo=UTC)),
        ("P1Y", datetime(2028, 2, 29, tzinfo=UTC), datetime(2029, 2, 28, tzinfo=UTC)),
        ("P1Y2M3W4DT5H6M7.5S", datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 3, 26, 5, 6, 7, 500000, tzinfo=UTC)),
        ("PT72H", datetime(2026, 3, 2, tzinfo=UTC), datetime(2026, 3, 5, tzinfo=UTC)),
        ("1d", datetime(2026, 3, 2, tzinfo=UTC), datetime(2026, 3, 3, tzinfo=UTC)),
        ("90s", datetime(2026, 3, 2, tzinfo=UTC), datetime(2026, 3, 2, 0, 1, 30, tzinfo=UTC)),
    ],
)  # fmt: skip
def test_durations_follow_the_calendar(text: str, start: datetime, end: datetime) -> None:
    assert Duration.parse(text).after(start) == end


@pytest.mark.parametrize(
    "text", ["", "P", "PT", "P2", "2M ", "P1M2Y", "10", "-10s", "10 s", "P1.5M", "P9999Y", "٣s"]
)
def test_what_is_not_a_duration(text: str) -> None:
    with pytest.raises(ValueError, match=r"length of time|longer"):
        Duration.parse(text)


@given(st.text(max_size=12))
def test_a_duration_parses_or_is_a_value_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        Duration.parse(text).after(datetime(2026, 3, 2, tzinfo=UTC))


def test_months_have_no_seconds() -> None:
    assert Duration.parse("P1DT1S").seconds == 86401
    with pytest.raises(ValueError, match="months differ"):
        _ = Duration.parse("P1M").seconds


TOML = '''# a comment with [brackets] and "quotes"
top = 1
[a]
text = """two
lines ] # no comment"""  # a comment
list = [
  "x", # [
  { y = 1 },
]
"quoted.key" = 'z # [ '
b.c = 3
[[item]]
name = "first"
[[item]]
name = "second"
[item.inner]
deep = 1
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("top",), 2),
        (("a",), 3),
        (("a", "text"), 4),
        (("a", "list"), 6),
        (("a", "list", 1, "y"), 6),
        (("a", "quoted.key"), 10),
        (("a", "b", "c"), 11),
        (("item", 0, "name"), 13),
        (("item", 1, "name"), 15),
        (("item", 1, "inner", "deep"), 17),
        (("item", 1, "absent"), 14),
        (("absent",), 0),
    ],
)
def test_the_line_of_a_key(path: tuple[str | int, ...], line: int) -> None:
    tomllib.loads(TOML)
    assert KeyLines(TOML).of(path) == line


def test_every_key_of_the_shipped_files_has_its_line() -> None:
    for file in sorted((ROOT / "config").glob("*.toml")):
        text = file.read_text()
        lines = KeyLines(text)
        for table, entries in tomllib.loads(text).items():
            for key in entries if isinstance(entries, dict) else ():
                line = text.split("\n")[lines.of((table, key)) - 1]
                assert key in line, (file, table, key, line)


digits = st.text("0123456789", min_size=1, max_size=6)


@given(
    st.dictionaries(digits, st.integers(), max_size=5),
    st.lists(st.tuples(st.integers(0, 999), st.integers(0, 999)), max_size=4),
    st.dictionaries(digits, st.integers(), max_size=5),
    digits,
)
def test_a_number_is_found_as_by_looking_through_all(
    exact: dict[str, int], pairs: list[tuple[int, int]], prefixes: dict[str, int], wanted: str
) -> None:
    """Exact before range before prefix; among ranges the narrowest, among prefixes the longest."""
    table: NumberTable[object] = NumberTable()
    for number, value in exact.items():
        table.add_number(number, ("exact", value))
    ranges = [NumberRange(min(pair), max(pair), 3, False) for pair in pairs]
    for position, numbers in enumerate(ranges):
        table.add_range(numbers, ("range", position))
    for prefix, value in prefixes.items():
        table.add_prefix(prefix, ("prefix", value))
    found = table.find(wanted)
    holding = [
        numbers.width
        for numbers in ranges
        if len(wanted) == 3 and numbers.first <= int(wanted) <= numbers.last
    ]
    beginning = [prefix for prefix in prefixes if wanted.startswith(prefix)]
    if wanted in exact:
        assert found == ("exact", exact[wanted])
    elif holding:
        assert isinstance(found, tuple) and ranges[found[1]].width == min(holding)
    elif beginning:
        assert found == ("prefix", prefixes[max(beginning, key=len)])
    else:
        assert found is None


@pytest.mark.parametrize(
    ("written", "form"),
    [
        ("020 123-4567", "+31201234567"),
        ("0031 (20) 1234567", "+31201234567"),
        ("+31.20.1234567", "+31201234567"),
        ("+31 (0)20 1234567", "+31201234567"),
        ("0031(0)201234567", "+31201234567"),
        ("(020) 1234567", "+31201234567"),
        ("(0)20 1234567", "+31201234567"),
        ("1900", "1900"),
        ("112", "112"),
        ("*97", "*97"),
        ("anonymous", "anonymous"),
        ("", ""),
    ],
)
def test_one_number_written_in_several_ways(written: str, form: str) -> None:
    numbering = load(SITE, {}).lines.numbering
    assert normal(written, numbering) == form


def test_the_most_specific_peer_is_meant(site: Path) -> None:
    edit(site, SERVER, "[peers.carrier]", '[peers.all]\naddresses = ["127.0.0.0/8"]\n[peers.carrier]')
    config: Config = load(site, {})
    assert config.peer_of("127.0.0.1", 5060) == "asterisk"
    assert config.peer_of("127.0.0.1", 5061) == "all"
    assert config.peer_of("127.0.0.20", 9) == "carrier"
    assert config.peer_of("::1", 5060) is None


def test_of_a_connection_the_port_says_nothing(site: Path) -> None:
    """addresses = ["127.0.0.1:5060"] means UDP packets from 5060, and TCP connections from any port."""
    edit(site, SERVER, "[peers.carrier]", '[peers.all]\naddresses = ["127.0.0.0/8"]\n[peers.carrier]')
    config = load(site, {})
    assert config.peer_of("127.0.0.1", None) == "asterisk"
    assert config.peer_of("127.0.0.20", None) == "carrier"
    assert config.peer_of("127.0.0.3", None) == "all" and config.peer_of("10.0.0.1", None) is None


TWO_OF_ONE_HOST = '[peers.other]\naddresses = ["127.0.0.1:5062"]\n[peers.carrier]'


def test_two_peers_of_one_host_are_told_apart_by_port_over_udp_only(site: Path) -> None:
    edit(site, SERVER, "[peers.carrier]", TWO_OF_ONE_HOST)
    assert load(site, {}).peer_of("127.0.0.1", 5062) == "other"
    with pytest.raises(
        ConfigError, match=r"over a connection 127\.0\.0\.1:5062 cannot be told from .* peers\.asterisk"
    ):
        load(site, {"QM_SIP_SIP_LISTEN": "udp:127.0.0.2:5080,tcp:127.0.0.2:5080"})


def test_udp_and_tcp_may_share_a_port_and_a_peer_may_want_tcp(site: Path) -> None:
    edit(site, SERVER, 'addresses = ["127.0.0.20"]', 'addresses = ["127.0.0.20"]\ntransport = "tcp"')
    config = load(site, {"QM_SIP_SIP_LISTEN": "udp:127.0.0.2:5080,tcp:127.0.0.2:5080"})
    assert [str(at) for at in config.server.sip.listen] == ["udp:127.0.0.2:5080", "tcp:127.0.0.2:5080"]
    assert config.peer("carrier").transport == "tcp" and config.peer("asterisk").transport == "udp"


def test_the_longest_prefix_of_a_route_is_meant(site: Path) -> None:
    config = load(site, {})
    assert config.route("asterisk", "1001").to == "asterisk"  # type: ignore[union-attr]
    assert config.route("asterisk", "0201").to == "carrier"  # type: ignore[union-attr]
    assert config.route("nobody", "1") is None


def test_confidential_numbers_are_looked_for_whole() -> None:
    never = load(SITE, {}).index.never[LineKind.CONFIDENTIAL]
    assert never.find("1900") == "function" and never.find("1005") == "person"
    assert never.find("+31201230805") == "line.adviser"
    assert never.find("19001") is None and never.find("190") is None


TLS = """
[sip]
listen = ["udp:127.0.0.2:5080", "tls:[::1]:5061"]
[sip.tls]
certificate = "tls/ours.pem"
private_key = "tls/ours.key"
ca_file = "tls/ca.pem"
client_certificate = "asked"
[sip.connections]
keep_alive = "0s"
[peers.roaming]
tls_identity = ["sip:PBX.example"]
[peers.carrier]"""


def test_tls_and_whoever_is_known_by_his_certificate(site: Path) -> None:
    edit(site, SERVER, "[peers.carrier]", TLS)
    edit(
        site,
        SERVER,
        'addresses = ["127.0.0.20"]',
        'addresses = ["127.0.0.20"]\ntls_identity = ["carrier.example"]',
    )
    config = load(site, {})
    assert config.server.sip.tls.certificate == site / "tls/ours.pem"
    assert [str(at) for at in config.server.sip.listen][1] == "tls:[::1]:5061"
    assert config.server.sip.connections.keep_alive.seconds == 0
    assert config.peer_of("10.0.0.1", None, {"x.example", "pbx.example"}) == "roaming"
    assert config.peer_of("127.0.0.20", None, {"carrier.example"}) == "carrier"
    assert (
        config.peer_of("10.0.0.1", None, {"x.example"}) is None and config.peer_of("10.0.0.1", None) is None
    )
    # who has a name is not believed by his address over TLS; elsewhere, and who has none, is
    assert config.peer_of("127.0.0.20", None, ()) is None and config.peer_of("127.0.0.20", 9) == "carrier"
    assert config.peer_of("127.0.0.1", None, ()) == config.peer_of("127.0.0.1", None, {"x"}) == "asterisk"


@pytest.mark.parametrize(
    ("old", "new", "key", "problem"),
    [
        ('certificate = "tls/ours.pem"\n', "", "sip.tls.certificate", "is required to listen on tls"),
        ('private_key = "tls/ours.key"\n', "", "sip.tls.private_key", "is required to listen on tls"),
        ('ca_file = "tls/ca.pem"\n', "", "sip.tls.ca_file", "whose signature do we believe"),
        (
            'tls_identity = ["sip:PBX.example"]\n',
            "",
            "peers.roaming.addresses",
            "where do its packets come from",
        ),
        (
            '["sip:PBX.example"]',
            '["a.example"]\ntls_certificate = "x"',
            "peers.roaming.tls_certificate",
            "go together",
        ),
        ('"asked"', '"asked"\nminimum_version = "1.0"', "sip.tls.minimum_version", "1.2"),
    ],
)
def test_tls_that_is_not_whole_is_one_clear_error(
    site: Path, old: str, new: str, key: str, problem: str
) -> None:
    edit(site, SERVER, "[peers.carrier]", TLS)
    edit(site, SERVER, old, new)
    errors = load_all_errors(site, {})
    assert [error for error in errors if error.key == key and problem in str(error)], [str(e) for e in errors]


def test_one_identity_has_one_peer(site: Path) -> None:
    edit(site, SERVER, "[peers.carrier]", TLS)
    edit(site, SERVER, 'addresses = ["127.0.0.20"]', 'tls_identity = ["pbx.example"]')
    with pytest.raises(ConfigError, match=r"also an identity of peers\.roaming"):
        load(site, {})
