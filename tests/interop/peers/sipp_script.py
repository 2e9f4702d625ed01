"""SIPp's scenarios, put together from a few steps: a scenario of the matrix is a list of them.

SIPp is not told anything while it runs. So a script that acts in the call does so a while later, and the test waits
until it has. Headers of the INVITE that is answered late are kept in variables (1 to 5), because `[last_...]` is of
whatever came last.
"""

from __future__ import annotations

KEEP = {"Via": 1, "From": 2, "To": 3, "CSeq": 4}
ALAW, ULAW = ("8", "PCMA"), ("0", "PCMU")
EVENTS = 96  # what `play_dtmf` presses with
OF_PARTNER = (
    120  # the number by which pjsua2 takes events: an echo comes with the number that it was sent with
)
AFTER_MS = 2200  # from one thing that a script does in a call to the next


def script(*steps: str) -> str:
    return f'<?xml version="1.0" encoding="UTF-8" ?>\n<scenario name="peer">\n{"".join(steps)}</scenario>\n'


def send(text: str, body: str = "", retrans: bool = False) -> str:
    kind = "Content-Type: application/sdp\n" if body.startswith("v=0") else ""
    kind = "Content-Type: application/dtmf-relay\n" if body.startswith("Signal") else kind
    whole = f"{text}{kind}Content-Length: [len]\n\n{body}"
    again = ' retrans="500"' if retrans else ""
    return f"<send{again}><![CDATA[\n{whole}\n]]></send>\n"


def recv(what: int | str, more: str = "", action: str = "") -> str:
    kind = "response" if isinstance(what, int) else "request"
    return f'<recv {kind}="{what}" {more}>{f"<action>{action}</action>" if action else ""}</recv>\n'


def pause(ms: int = AFTER_MS) -> str:
    return f'<pause milliseconds="{ms}"/>\n'


def sdp(
    codec: tuple[str, str] = ALAW, direction: str = "sendrecv", version: int = 1, events: int = EVENTS
) -> str:
    number, name = codec
    return f"""v=0
o=sipp 53655765 {version} IN IP4 [local_ip]
s=-
c=IN IP4 [media_ip]
t=0 0
m=audio [media_port] RTP/AVP {number} {events}
a=rtpmap:{number} {name}/8000
a=rtpmap:{events} telephone-event/8000
a=fmtp:{events} 0-16
a={direction}
"""


# ---------------------------------------------------------------------------- it calls


def request(method: str, number: int, *headers: str, body: str = "", branch: str = "[branch]") -> str:
    """One of ours; the first INVITE has no To-tag to name."""
    tagged = "" if (method, number) in (("INVITE", 1), ("CANCEL", 1)) else "[peer_tag_param]"
    lines = [
        f"{method} sip:[service]@[remote_ip]:[remote_port] SIP/2.0",
        f"Via: SIP/2.0/[transport] [local_ip]:[local_port];branch={branch}",
        "From: <sip:0612345678@[local_ip]>;tag=peer[call_number]",
        f"To: <sip:[service]@[remote_ip]>{tagged}",
        "Call-ID: [call_id]",
        f"CSeq: {number} {method}",
        "Contact: <sip:sipp@[local_ip]:[local_port];transport=[transport]>",
        "Allow: INVITE, ACK, BYE, CANCEL, PRACK, UPDATE, INFO, REFER, NOTIFY",
        "Max-Forwards: 70",
        *headers,
    ]
    return send("".join(f"{line}\n" for line in lines), body, retrans=method not in ("ACK", "CANCEL"))


def invite(*headers: str) -> str:
    return request("INVITE", 1, *headers, body=sdp())


def ringing() -> str:
    return recv(100, 'optional="true"') + recv(180, 'optional="true"')


def answered(number: int = 1) -> str:
    return recv(200) + request("ACK", number)


def up() -> str:
    return invite() + ringing() + recv(183, 'optional="true"') + answered()


def again(number: int, codec: tuple[str, str] = ALAW, direction: str = "sendrecv") -> str:
    """A re-INVITE."""
    offer = request("INVITE", number, body=sdp(codec, direction, number))
    return offer + recv(100, 'optional="true"') + answered(number)


def bye(number: int) -> str:
    return request("BYE", number) + recv(200)


def taken_back(steps: int) -> str:
    """CANCEL so many steps after the INVITE: it and the ACK to the 487 have the INVITE's branch."""
    ended = recv(200) + recv(487) + request("ACK", 1, branch=f"[branch-{steps + 3}]")
    return request("CANCEL", 1, branch=f"[branch-{steps}]") + ended


def press(number: int, key: str) -> str:
    body = f"Signal={key}\nDuration=160\n"
    return request("INFO", number, body=body) + recv(200) + pause(200)


def until_bye() -> str:
    """Hung up on; meanwhile what comes about a transfer is answered."""
    return f"""<label id="1"/>
<recv request="NOTIFY" optional="true" next="2"></recv>
<recv request="BYE" next="3"></recv>
<label id="2"/>
{ok()}<nop next="1"></nop>
<label id="3"/>
{ok()}"""


# ---------------------------------------------------------------------------- it is called


def reply(status: str, *headers: str, body: str = "", kept: bool = False) -> str:
    """To what came last, or to the INVITE whose headers are kept. The tag is the call's."""
    lines = [f"SIP/2.0 {status}"]
    lines += [f"{name}:[${number}]" if kept else f"[last_{name}:]" for name, number in KEEP.items()]
    lines[3] += ";tag=peer[call_number]" if kept else ""
    lines += ["Call-ID: [call_id]", "Contact: <sip:sipp@[local_ip]:[local_port];transport=[transport]>"]
    lines += ["Allow: INVITE, ACK, BYE, CANCEL, PRACK, UPDATE, INFO, NOTIFY", *headers]
    return send("".join(f"{line}\n" for line in lines), body)


def ok(body: str = "") -> str:
    return reply("200 OK", body=body)


def called() -> str:
    kept = "".join(
        f'<ereg regexp=".*" search_in="hdr" header="{name}:" assign_to="{number}"/>'
        for name, number in KEEP.items()
    )
    return recv("INVITE", action=kept) + reply("180 Ringing", kept=True)


def answer(events: int = EVENTS) -> str:
    return pause(400) + reply("200 OK", body=sdp(events=events), kept=True) + recv("ACK")


def offered(codec: tuple[str, str] = ALAW, direction: str = "sendrecv", version: int = 2) -> str:
    return recv("INVITE") + ok(sdp(codec, direction, version)) + recv("ACK")


def hung_up_on() -> str:
    return recv("BYE") + ok()


# ---------------------------------------------------------------------------- by the matrix's names

RACK = '<ereg regexp="[0-9]+" search_in="hdr" header="RSeq:" assign_to="1"/>'
PRACKED = request("PRACK", 2, "RAck: [$1] 1 INVITE") + recv(200)
INVITE_TIMED = invite("Supported: timer", "Session-Expires: 90;refresher=uac", "Min-SE: 90")


def scripts(keys: str, transferred: str) -> dict[str, str]:
    infos = "".join(press(2 + n, key) for n, key in enumerate(keys))
    refer = request("REFER", 2, f"Refer-To: <sip:{transferred}@[remote_ip]>") + recv(202)
    cancelled = recv("CANCEL") + ok() + reply("487 Request Terminated", kept=True) + recv("ACK")
    pressing = f'<nop><action><exec play_dtmf="{keys}"/></action></nop>\n'
    reliable = reply("183 Session Progress", "Require: 100rel", "RSeq: 1", body=sdp(), kept=True)
    return {name: script(*steps) for name, steps in {
        "inbound": (up(), pause(), bye(2)),
        "outbound": (called(), answer(), hung_up_on()),
        "direct": (up(), until_bye()),
        "peer refuses": (called(), pause(300), reply("486 Busy Here", kept=True), recv("ACK")),
        "peer cancels": (invite(), recv(100, 'optional="true"'), recv(180), pause(500), taken_back(4)),
        "peer is cancelled": (called(), cancelled),
        "early media": (invite(), ringing(), recv(183), pause(1500), taken_back(5)),
        "peer holds": (up(), pause(), again(2, direction="sendonly"), pause(), again(3), pause(), bye(4)),
        "peer is held": (called(), answer(), offered(direction="recvonly"), offered(version=3), hung_up_on()),
        "peer changes codec": (up(), pause(), again(2, ULAW), pause(), bye(3)),
        "codec changed for peer": (called(), answer(), offered(ULAW), hung_up_on()),
        "keys by RFC 4733": (up(), pause(), pressing, pause(4000), bye(2)),
        "keys by INFO": (up(), pause(1500), infos, pause(1000), bye(9)),
        "keys to peer": (called(), answer(OF_PARTNER), hung_up_on()),
        "blind transfer": (up(), pause(), refer, until_bye()),
        "attended transfer": (up(), until_bye()),
        "peer sends PRACK": (invite("Supported: 100rel"), ringing(), recv(183, action=RACK), PRACKED,
                             recv(180, 'optional="true"'), answered(), until_bye()),
        "peer gets PRACK": (called(), reliable, recv("PRACK"), ok(), answer(), hung_up_on()),
        "session timer": (INVITE_TIMED, ringing(), answered(), pause(45_000), request("UPDATE", 2), recv(200),
                          pause(5000), bye(3)),
    }.items()}  # fmt: skip


def refer_elsewhere() -> str:
    """A REFER in a dialog of another SIPp: its tags and the target are keys of the command line."""
    text = "".join(f"{line}\n" for line in (
        "REFER sip:[service]@[remote_ip]:[remote_port] SIP/2.0",
        "Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]",
        "From: <sip:0612345678@[local_ip]>;tag=[mine]",
        "To: <sip:[service]@[remote_ip]>;tag=[theirs]",
        "Call-ID: [call_id]",
        "CSeq: 7 REFER",
        "Contact: <sip:sipp@[local_ip]:5060>",
        "Max-Forwards: 70",
        "Refer-To: <sip:[target]@[remote_ip]?Replaces=[replaces]>",
    ))  # fmt: skip
    return script(send(text), recv(202))
