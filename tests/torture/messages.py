"""The test messages of RFC 4475, written out from the RFC: every name, and what makes each of them hard.

What a message does not turn on (hosts, Call-IDs, media of the bodies) is kept short and our own. `<len>`
stands for the true length of the body.
"""

from __future__ import annotations

SDP = (
    b"v=0\r\no=mh 29739 7272939 IN IP4 192.0.2.3\r\ns=-\r\nc=IN IP4 192.0.2.4\r\nt=0 0\r\n"
    b"m=audio 49217 RTP/AVP 0 12\r\nm=video 3227 RTP/AVP 31\r\na=rtpmap:31 LPC\r\n"
)


def message(text: str, body: bytes = b"") -> bytes:
    """The lines with CRLF, an empty line, the body. Bytes above ASCII are UTF-8."""
    lines = text.strip("\n").replace("<len>", str(len(body))).split("\n")
    return "\r\n".join([*lines, "", ""]).encode() + body


def options(*lines: str, uri: str = "sip:user@example.com", skip: str = "") -> bytes:
    """An OPTIONS with the usual headers but for the one to `skip`, and more lines."""
    usual = {
        "To": "To: sip:user@example.com",
        "From": "From: sip:caller@example.net;tag=384",
        "Via": "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKkdjuw",
        "Call-ID": "Call-ID: opt.0ha0isndaksdj",
        "CSeq": "CSeq: 8 OPTIONS",
        "Max-Forwards": "Max-Forwards: 70",
    }
    kept = [line for name, line in usual.items() if name not in skip.split()]
    return message("\n".join([f"OPTIONS {uri} SIP/2.0", *kept, *lines, "l: 0"]))


def invite(
    *lines: str, first: str = "INVITE sip:user@example.com SIP/2.0", skip: str = "", body: bytes = SDP
) -> bytes:
    """An INVITE likewise."""
    usual = {
        "To": "To: sip:j.user@example.com",
        "From": "From: sip:caller@example.net;tag=93334",
        "Via": "Via: SIP/2.0/UDP host5.example.com;branch=z9hG4bK-39234-23523",
        "Call-ID": "Call-ID: inv.0ha0isndaksdj",
        "CSeq": "CSeq: 8 INVITE",
        "Max-Forwards": "Max-Forwards: 70",
        "Contact": "Contact: <sip:caller@host5.example.net>",
        "Content-Type": "Content-Type: application/sdp",
        "Content-Length": "Content-Length: <len>",
    }
    kept = [line for name, line in usual.items() if name not in skip.split()]
    return message("\n".join([first, *kept, *lines]), body)


def register(*lines: str, skip: str = "", uri: str = "sip:example.com") -> bytes:
    """A REGISTER likewise."""
    usual = {
        "To": "To: sip:user@example.com",
        "From": "From: sip:user@example.com;tag=998332",
        "Via": "Via: SIP/2.0/UDP host5.example.com;branch=z9hG4bKkdjuw",
        "Call-ID": "Call-ID: reg.k345asrl3fdbv",
        "CSeq": "CSeq: 14398234 REGISTER",
        "Max-Forwards": "Max-Forwards: 70",
    }
    kept = [line for name, line in usual.items() if name not in skip.split()]
    return message("\n".join([f"REGISTER {uri} SIP/2.0", *kept, *lines, "L:0"]))


def response(first: str, *lines: str, skip: str = "", body: bytes = b"") -> bytes:
    """A response likewise."""
    usual = {
        "Via": "Via: SIP/2.0/UDP 192.0.2.105;branch=z9hG4bK2398ndaoe",
        "Call-ID": "Call-ID: resp.asndj203insdf99223ndf",
        "CSeq": "CSeq: 35 INVITE",
        "From": "From: <sip:user@example.com>;tag=39ansfi3",
        "To": "To: <sip:user@example.edu>;tag=902jndnke3",
        "Contact": "Contact: <sip:user@host105.example.com>",
    }
    kept = [line for name, line in usual.items() if name not in skip.split()]
    return message("\n".join([first, *kept, *lines, "Content-Length: <len>"]), body)


WSINV = r"""
INVITE sip:vivekg@chair-dnrc.example.com;unknownparam SIP/2.0
TO :
 sip:vivekg@chair-dnrc.example.com ;   tag    = 1918181833n
from   : "J Rosenberg \\\""       <sip:jdrosen@example.com>
  ;
  tag = 98asjd8
MaX-fOrWaRdS: 0068
Call-ID: wsinv.ndaksdj@192.0.2.1
Content-Length   : <len>
cseq: 0009
  INVITE
Via  : SIP  /   2.0
 /UDP
    192.0.2.2;branch=390skdjuw
s :
NewFangledHeader:   newfangled value
 continued newfangled value
UnknownHeaderWithUnusualValue: ;;,,;;,;
Content-Type: application/sdp
Route:
 <sip:services.example.com;lr;unknownwith=value;unknown-no-value>
v:  SIP  / 2.0  / TCP     spindle.example.com   ;
  branch  =   z9hG4bK9ikj8  ,
 SIP  /    2.0   / UDP  192.168.255.111   ; branch=
 z9hG4bK30239
m:"Quoted string \"\"" <sip:jdrosen@example.com> ; newparam =
      newvalue ;
  secondparam ; q = 0.33
"""

ODD_URI = "sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*"
ODD_METHOD = "!interesting-Method0123456789_*+`.%indeed'~"
ODD_PARAM = "fromParam''~+*_!.-%=\"работающий\""
INTMETH = f"""
{ODD_METHOD} {ODD_URI}:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com SIP/2.0
Via: SIP/2.0/TCP host1.example.com;branch=z9hG4bK-.!%66*_+`'~
To: "BEL:\\\x07 NUL:\\\x00 DEL:\\\x7f" <{ODD_URI}@example.com>
From: token1~` token2'+_ token3*%!.- <sip:mundane@example.com>;{ODD_PARAM};tag=_token~1'+`*%!-.
Call-ID: intmeth.word%ZK-!.*_+'@word`~)(><:\\/"][?}}{{
CSeq: 139122385 {ODD_METHOD}
Max-Forwards: 255
extensionHeader-!.%*+_`'~:\ufeff大停電
Content-Length: 0
"""

LONG = "This is a " + "very, " * 40 + "long value"
LONGREQ = "\n".join(
    [
        f'To: "I have a name of {"extreme " * 10}proportion" <sip:u@example.com:6000;p={"v" * 90};q=no>',
        f"F: sip:{'amazinglylongcallername' * 5}@example.net;tag=12{'982' * 50}424",
        "Call-ID: longreq.one" + "really" * 20 + "longcallid",
        f"Unknown-{'Long' * 20}-Name: unknown-{'long' * 20}-value; unknown-{'long' * 20}-parameter-name=x",
        f"Subject: {LONG}",
        "Via: SIP/2.0/TCP sip33.example.com",
        "v: SIP/2.0/TCP sip32.example.com",
        *(f"V: SIP/2.0/TCP sip{n}.example.com" for n in range(31, 0, -1)),
        f"v: SIP/2.0/UDP 192.0.2.{1};branch=very{'long' * 50}branchvalue",
        f"Contact: <sip:{'amazinglylongcallername' * 5}@host5.example.net>",
    ]
)

BOUNDARY = b"--7a9cbec02ceef655"
MPART = b"\r\n".join(
    [
        BOUNDARY,
        b"Content-Type: text/plain\r\nContent-Transfer-Encoding: binary\r\n\r\nHello",
        BOUNDARY,
        b"Content-Type: application/octet-stream\r\n\r\n0\x82\x01R\x06\t*\x86H\x86\xf7\r\n\x01\x07\x00",
        BOUNDARY + b"--\r\n",
    ]
)

MESSAGES: dict[str, bytes] = {
    # 3.1.1 valid
    "wsinv": message(WSINV, SDP),
    "intmeth": message(INTMETH),
    "esc01": invite(
        "To: sip:%75se%72@example.com",
        "Contact:\n  <sip:cal%6Cer@host5.example.net;%6C%72;n%61me=v%61lue%25%34%31>",
        first="INVITE sip:sips%3Auser%40example.com@example.net SIP/2.0",
        skip="To Contact",
    ),
    "escnull": register("Contact: <sip:%00@host5.example.com>", "Contact: <sip:%00%00@host5.example.com>"),
    "esc02": message(
        """
RE%47IST%45R sip:registrar.example.com SIP/2.0
To: "%Z%45" <sip:resource@example.com>
From: "%Z%45" <sip:resource@example.com>;tag=f232jadfj23
Call-ID: esc02.asdfnqwo34rq23i34jrjasdcnl23nrlknsdf
Via: SIP/2.0/TCP host.example.com;branch=z9hG4bK209%fzsnel234
CSeq: 29344 RE%47IST%45R
Max-Forwards: 70
Contact: <sip:alias1@host1.example.com>
C%6Fntact: <sip:alias2@host2.example.com>
Contact: <sip:alias3@host3.example.com>
l: 0
"""
    ),
    "lwsdisp": options("From: caller<sip:caller@example.com>;tag=323", skip="From"),
    "longreq": invite(*LONGREQ.split("\n"), skip="To From Call-ID Via Contact"),
    "dblreq": register("I: dblreq.0ha0isndaksdj99sdfafnl3lk233412", skip="Call-ID") + invite(),
    "semiuri": options(uri="sip:user;par=u%40example.net@example.com"),
    "transports": options(
        *(f"Via: SIP/2.0/{t} t.example.com;branch=z9hG4bK{t}" for t in ("SCTP", "TLS", "UNKNOWN", "TCP"))
    ),
    "mpart01": message(
        """
MESSAGE sip:kumiko@example.org SIP/2.0
Via: SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bK-d87543-4dade06d0bdb11ee-1--d87543-
Max-Forwards: 70
Identity: r5mwreLuyDRYBi/0TiPwEsY3rEVsk/G2WxhgTV1PF7hHuLIK
To: <sip:kumiko@example.org>
From: "fluffy" <sip:fluffy@example.com>;tag=2fb0dcc9
Call-ID: mpart01.d9485ad0@192.0.2.1
CSeq: 1 MESSAGE
Content-Type: multipart/signed;boundary=7a9cbec02ceef655
Content-Length: <len>
""",
        MPART,
    ),
    "unreason": response("SIP/2.0 200 = 2**3 * 5**2 но сто девяносто девять - простое", body=SDP),
    "noreason": response("SIP/2.0 100 "),
    # 3.1.2 invalid
    "badinv01": invite(
        "Via: SIP/2.0/UDP 192.0.2.15;;,;,,", 'Contact: "Joe" <sip:joe@example.org>;;;;', skip="Via Contact"
    ),
    "clerr": invite("Content-Length: 9999", skip="Content-Length"),
    "ncl": invite("Content-Length: -999", skip="Content-Length"),
    "scalar02": register(
        "CSeq: 36893488147419103232 REGISTER",
        "Max-Forwards: 300",
        "Expires: 1" + "0" * 100,
        "Contact: <sip:user@host129.example.com>\n  ;expires=280297596632815",
        skip="CSeq Max-Forwards",
    ),
    "scalarlg": response(
        "SIP/2.0 503 Service Unavailable",
        "CSeq: 9292394834772304023312 OPTIONS",
        "Retry-After: 949302838503028349304023988",
        'Warning: 1812 overture "In Progress"',
        skip="CSeq",
    ),
    "quotbal": invite('To: "Mr. J. User <sip:j.user@example.com>', skip="To"),
    "ltgtruri": invite(first="INVITE <sip:user@example.com> SIP/2.0"),
    "lwsruri": invite(first="INVITE sip:user@example.com; lr SIP/2.0"),
    "lwsstart": invite(first="INVITE  sip:user@example.com  SIP/2.0"),
    "trws": options().replace(b" SIP/2.0\r\n", b" SIP/2.0  \r\n", 1),
    "escruri": invite(first="INVITE sip:user@example.com?Route=%3Csip:example.com%3E SIP/2.0"),
    "baddate": invite("Date: Fri, 01 Jan 2010 16:00:00 EST"),
    "regbadct": register("Contact: sip:user@example.com?Route=%3Csip:sip.example.com%3E"),
    "badaspec": options('To: "Watson, Thomas" < sip:t.watson@example.org >', skip="To"),
    "baddn": options(
        "From:    Bell, Alexander <sip:a.g.bell@example.com>;tag=43",
        "To:      Watson, Thomas <sip:t.watson@example.org>",
        skip="From To",
    ),
    "badvers": options("Via: SIP/7.0/UDP c.example.com;branch=z9hG4bKkdjuw", skip="Via").replace(
        b" SIP/2.0\r\n", b" SIP/7.0\r\n", 1
    ),
    "mismatch01": options("CSeq: 8 INVITE", skip="CSeq"),
    "mismatch02": invite(first="NEWMETHOD sip:user@example.com SIP/2.0"),
    "bigcode": response("SIP/2.0 4294967301 better not break the receiver"),
    # 3.2 transaction layer
    "badbranch": options("Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK", skip="Via"),
    # 3.3 application layer
    "insuf": invite(skip="To From Call-ID Max-Forwards Contact"),
    "unkscm": options(uri="nobodyKnowsThisScheme:totallyopaquecontent"),
    "novelsc": options(uri="soap.beep://192.0.2.103:3002"),
    "unksm2": register(
        "To: isbn:2983792873",
        "From: <http://www.example.com>;tag=32",
        "Contact: <name:John_Smith>",
        skip="To From",
    ),
    "bext01": options(
        "Require: nothingSupportsThis, nothingSupportsThisEither",
        "Proxy-Require: noProxiesSupportThis, norDoAnyProxiesSupportThis",
    ),
    "invut": invite(
        "Content-Type: application/unknownformat",
        skip="Content-Type",
        body=b'<audio>\r\n <pcmu port="443"/>\r\n</audio>\r\n',
    ),
    "regaut01": register("Authorization: NoOneKnowsThisScheme opaque-data=here"),
    "multi01": invite(
        "CSeq: 59 INVITE", "Call-ID: multi01.98asdh@192.0.2.2", "To: sip:other@example.net", "Max-Forwards: 5"
    ),
    "mcl01": options("Content-Length: 13"),
    "bcast": response("SIP/2.0 200 OK", "Via: SIP/2.0/UDP 255.255.255.255;branch=z9hG4bK1saber23", body=SDP),
    "zeromf": options("Max-Forwards: 0", skip="Max-Forwards"),
    "cparam01": register("Contact: sip:+19725552222@gw1.example.net;unknownparam"),
    "cparam02": register("Contact: <sip:+19725552222@gw1.example.net;unknownparam>"),
    "regescrt": register("M: <sip:user@example.com?Route=%3Csip:sip.example.com%3E>"),
    "sdp01": invite("Accept: text/nobodyKnowsThis"),
    # 3.4 backward compatibility
    "inv2543": message(
        """
INVITE sip:UserB@example.com SIP/2.0
Via: SIP/2.0/UDP iftgw.example.com
From: <sip:+13035551111@ift.client.example.net;user=phone>
Record-Route: <sip:UserB@example.com;maddr=ss1.example.com>
To: sip:+16505552222@ss1.example.net;user=phone
Call-ID: inv2543.1717@ift.client.example.com
CSeq: 56 INVITE
Content-Type: application/sdp
""",
        SDP,
    ),
}
