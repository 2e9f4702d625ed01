"""One softphone in a process of its own: pjsua2 without a sound card, driven by JSON lines.

    python -m qm_sip.demo.softphone '{"user": "1001", "address": "127.0.0.11", ...}'

Commands come in on standard input, one JSON object a line, `do` says which; what happened goes out on
standard output, `event` says what, `at` when (seconds of CLOCK_MONOTONIC, one clock for the whole machine).
What the other side says is written to a WAV file per call; what this side says is read from one.

pjsua2 is GPL: only this process imports it, and `qm_sip.demo.phone` speaks to it through the two pipes.
The wheel is built for at most four calls at once (PJSUA_MAX_CALLS), which is plenty for a phone.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pjsua2 as pj

MAX_CALLS = 4
WIDEBAND = "G722"  # to pjsua2 a codec of 16000, which is its audio's rate, not its clock's
STATES = {
    pj.PJSIP_INV_STATE_CALLING: "calling",
    pj.PJSIP_INV_STATE_INCOMING: "incoming",
    pj.PJSIP_INV_STATE_EARLY: "early",
    pj.PJSIP_INV_STATE_CONNECTING: "connecting",
    pj.PJSIP_INV_STATE_CONFIRMED: "confirmed",
    pj.PJSIP_INV_STATE_DISCONNECTED: "disconnected",
}
MEDIA = {
    pj.PJSUA_CALL_MEDIA_NONE: "none",
    pj.PJSUA_CALL_MEDIA_ACTIVE: "active",
    pj.PJSUA_CALL_MEDIA_LOCAL_HOLD: "local-hold",
    pj.PJSUA_CALL_MEDIA_REMOTE_HOLD: "remote-hold",
    pj.PJSUA_CALL_MEDIA_ERROR: "error",
}


TRANSPORTS = {
    "udp": pj.PJSIP_TRANSPORT_UDP,
    "tcp": pj.PJSIP_TRANSPORT_TCP,
    "tls": pj.PJSIP_TRANSPORT_TLS,
}


SRTP = {"optional": pj.PJMEDIA_SRTP_OPTIONAL, "mandatory": pj.PJMEDIA_SRTP_MANDATORY}


@dataclass(frozen=True)
class Settings:
    """What a phone is told at its start."""

    user: str
    address: str
    port: int
    output: str  # directory of the recordings
    name: str = ""  # display name
    codec: str = "PCMA"  # or several: "PCMA,G722"
    answer_after: float | None = None  # seconds of ringing; None: only when told to
    register: str | None = None  # registrar URI; None: a static contact, as the testbed's Asterisk has
    password: str = ""
    transport: str = "udp"  # tcp, or tls (the port is then its own)
    tls: dict[str, str] | None = None  # files: ca, certificate, key
    srtp: str = ""  # optional or mandatory, with keys in SDP, over TLS alone
    prack: bool = False  # RFC 3262: send and take reliable provisional responses
    session_expires: int = 0  # RFC 4028: ask for this in every call; 0: take what comes
    log_level: int = 0
    log_file: str = ""


def emit(event: str, **facts: Any) -> None:
    sys.stdout.write(json.dumps({"event": event, "at": time.monotonic(), **facts}) + "\n")
    sys.stdout.flush()


class Line(pj.Call):  # type: ignore[misc]
    """One call of this phone."""

    def __init__(self, phone: Softphone, call_id: int = pj.PJSUA_INVALID_ID) -> None:
        super().__init__(phone.account, call_id)
        self.phone = phone
        self.number = phone.next_number()
        self.answer_at: float | None = None
        self.player: pj.AudioMediaPlayer | None = None
        self.recorder: pj.AudioMediaRecorder | None = None
        self.recording = str(Path(phone.settings.output) / f"{phone.settings.user}-{self.number}.wav")

    # ---- what pjsua2 tells us

    def onCallState(self, prm: pj.OnCallStateParam) -> None:
        info = self.getInfo()
        state = STATES.get(info.state, "null")
        if state == "disconnected":
            self.release()
            self.phone.lines.pop(self.number, None)
            self.phone.ended.append(self)  # kept until after the callback: pjsua2 still uses it
        emit("state", call=self.number, state=state, status=info.lastStatusCode, reason=info.lastReason)

    def onCallMediaState(self, prm: pj.OnCallMediaStateParam) -> None:
        info = self.getInfo()
        for index, media in enumerate(info.media):
            if media.type != pj.PJMEDIA_TYPE_AUDIO:
                continue
            state = MEDIA.get(media.status, "none")
            if state in {"active", "remote-hold"}:
                self._connect()
            emit("media", call=self.number, state=state, index=index)

    def onDtmfDigit(self, prm: pj.OnDtmfDigitParam) -> None:
        emit("dtmf", call=self.number, digit=prm.digit)

    # ---- audio

    def _connect(self) -> None:
        """(Re)connect ear and mouth: pjsua2 drops both at every new offer and answer."""
        ear = self.getAudioMedia(-1)
        if self.recorder is None:
            self.recorder = pj.AudioMediaRecorder()
            self.recorder.createRecorder(self.recording)
            emit("recording", call=self.number, path=self.recording)
        ear.startTransmit(self.recorder)
        if self.player is None and self.phone.say is not None:
            self.player = _player(*self.phone.say)
        if self.player is not None:
            self.player.startTransmit(ear)

    def play(self, path: str, loop: bool) -> None:
        ear = self.getAudioMedia(-1)
        if self.player is not None:
            with contextlib.suppress(pj.Error):
                self.player.stopTransmit(ear)
        self.player = _player(path, loop)
        self.player.startTransmit(ear)
        emit("playing", call=self.number, path=path)

    def release(self) -> None:
        """Let go of ear and mouth. pjsua2 completes the WAV a moment later, in its own clock's thread."""
        self.player = None
        if self.recorder is not None:
            self.recorder = None
            self.phone.closing[self.number] = self.recording

    def report(self) -> dict[str, Any]:
        """RTP as this phone saw it, and where the packets came from."""
        stat = self.getStreamStat(0).rtcp
        transport = self.getMedTransportInfo(0)
        return {
            "received": stat.rxStat.pkt,
            "lost": stat.rxStat.loss,
            "sent": stat.txStat.pkt,
            "source": transport.srcRtpName,
            "local": transport.localRtpName,
            "codec": self.getStreamInfo(0).codecName,
        }


def _player(path: str, loop: bool) -> pj.AudioMediaPlayer:
    player = pj.AudioMediaPlayer()
    player.createPlayer(path, 0 if loop else pj.PJMEDIA_FILE_NO_LOOP)
    return player


def _secure(config: pj.TlsConfig, files: dict[str, str]) -> None:
    """Show our certificate, and look at the other's, whoever connects."""
    config.CaListFile, config.certFile, config.privKeyFile = (
        files[name] for name in ("ca", "certificate", "key")
    )
    config.method = pj.PJSIP_TLSV1_2_METHOD
    config.verifyServer = config.verifyClient = config.requireClientCert = True


class Account(pj.Account):  # type: ignore[misc]
    def __init__(self, phone: Softphone) -> None:
        super().__init__()
        self.phone = phone

    def onIncomingCall(self, prm: pj.OnIncomingCallParam) -> None:
        self.phone.incoming(prm.callId, prm.rdata.wholeMsg)

    def onRegState(self, prm: pj.OnRegStateParam) -> None:
        emit("registration", status=prm.code, reason=prm.reason)


class Softphone:
    """The phone: one account on one address, its calls by number, and the commands it obeys."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.lines: dict[int, Line] = {}
        self.ended: list[Line] = []
        self.closing: dict[int, str] = {}
        self.say: tuple[str, bool] | None = None
        self.running = True
        self._numbers = 0
        self._input = b""
        self.endpoint = pj.Endpoint()
        self._start_library()
        self.account = Account(self)
        self.account.create(self._account_settings())

    def next_number(self) -> int:
        self._numbers += 1
        return self._numbers

    # ---- start

    def _start_library(self) -> None:
        config = pj.EpConfig()
        config.logConfig.level = self.settings.log_level
        config.logConfig.consoleLevel = 0  # standard output is for events
        config.logConfig.filename = self.settings.log_file
        config.uaConfig.threadCnt = 0  # callbacks come only from libHandleEvents, in this thread
        config.uaConfig.mainThreadOnly = True
        config.uaConfig.maxCalls = MAX_CALLS
        config.uaConfig.userAgent = "qm_sip demo phone"
        wide = WIDEBAND in self.settings.codec.split(",")
        config.medConfig.clockRate = config.medConfig.sndClockRate = 16000 if wide else 8000
        config.medConfig.audioFramePtime = config.medConfig.ptime = 20
        config.medConfig.noVad = True
        config.medConfig.ecTailLen = 0
        with _silent_stdout():
            self.endpoint.libCreate()
            self.endpoint.libInit(config)
            self.endpoint.audDevManager().setNullDev()
            self._transport = self._open_transport()
            self.endpoint.libStart()
        self._choose_codecs(self.settings.codec)

    def _open_transport(self) -> int:
        transport = pj.TransportConfig()
        transport.port = self.settings.port
        transport.boundAddress = self.settings.address
        transport.publicAddress = self.settings.address
        if self.settings.tls:
            _secure(transport.tlsConfig, self.settings.tls)
        return int(self.endpoint.transportCreate(TRANSPORTS[self.settings.transport], transport))

    def _choose_codecs(self, wanted: str) -> None:
        """These and no others, the first one first."""
        names = wanted.split(",")
        for codec in self.endpoint.codecEnum2():
            name, rate, *_ = codec.codecId.split("/")
            usable = name in names and (rate == "8000" or name == WIDEBAND)
            self.endpoint.codecSetPriority(codec.codecId, 255 - names.index(name) if usable else 0)

    def _account_settings(self) -> pj.AccountConfig:
        s = self.settings
        config = pj.AccountConfig()
        shown = f'"{s.name}" ' if s.name else ""
        config.idUri = f"{shown}<sip:{s.user}@{s.address}:{s.port}>"
        config.sipConfig.transportId = self._transport
        config.mediaConfig.transportConfig.boundAddress = s.address
        config.mediaConfig.transportConfig.publicAddress = s.address
        config.mediaConfig.transportConfig.port = 20000
        config.mediaConfig.transportConfig.portRange = 200
        if s.srtp:
            config.mediaConfig.srtpUse = SRTP[s.srtp]
            config.mediaConfig.srtpSecureSignaling = 1
        if s.prack:
            config.callConfig.prackUse = pj.PJSUA_100REL_OPTIONAL
        if s.session_expires:
            config.callConfig.timerUse = pj.PJSUA_SIP_TIMER_ALWAYS
            config.callConfig.timerMinSESec = config.callConfig.timerSessExpiresSec = s.session_expires
        config.regConfig.registrarUri = s.register or ""
        if s.password:
            config.sipConfig.authCreds.append(pj.AuthCredInfo("digest", "*", s.user, 0, s.password))
        return config

    # ---- run

    def run(self) -> None:
        emit("ready", user=self.settings.user, pid=os.getpid())
        while self.running:
            self.endpoint.libHandleEvents(10)
            self.ended.clear()
            self._answer_due()
            self._tell_recorded()
            self._read_commands()
        self._stop()

    def _stop(self) -> None:
        self.endpoint.hangupAllCalls()
        until = time.monotonic() + 1.0
        while (self.lines or self.closing) and time.monotonic() < until:
            self.endpoint.libHandleEvents(10)
            self._tell_recorded()
        emit("gone")
        os._exit(0)  # pjsua2's own way down waits seconds for nothing; every recording is closed

    def _tell_recorded(self) -> None:
        for number, path in list(self.closing.items()):
            if is_complete_wav(Path(path)):
                del self.closing[number]
                emit("recorded", call=number, path=path)

    def _answer_due(self) -> None:
        for line in list(self.lines.values()):
            if line.answer_at is not None and time.monotonic() >= line.answer_at:
                line.answer_at = None
                self.do_answer(line)

    def _read_commands(self) -> None:
        ready, _, _ = select.select([0], [], [], 0)
        if not ready:
            return
        data = os.read(0, 65536)
        if not data:
            self.running = False  # whoever drove us is gone
            return
        *whole, self._input = (self._input + data).split(b"\n")
        for text in whole:
            self._obey(json.loads(text))

    def _obey(self, command: dict[str, Any]) -> None:
        name = command.pop("do")
        try:
            line = self._line(command.pop("call", None)) if name in LINE_COMMANDS else None
            handler = getattr(self, f"do_{name}")
            answer = handler(line, **command) if line is not None else handler(**command)
            emit("done", do=name, **(answer or {}))
        except (pj.Error, LookupError) as error:
            text = error.info() if isinstance(error, pj.Error) else str(error)
            emit("failed", do=name, reason=text)

    def _line(self, number: int | None) -> Line:
        if number is None:
            number = max(self.lines, default=0)
        if number not in self.lines:
            raise LookupError(f"no call {number}")
        return self.lines[number]

    def incoming(self, call_id: int, message: str) -> None:
        line = Line(self, call_id)
        self.lines[line.number] = line
        emit("incoming", call=line.number, message=message)
        operation = pj.CallOpParam()
        operation.statusCode = 180
        line.answer(operation)
        if self.settings.answer_after is not None:
            line.answer_at = time.monotonic() + self.settings.answer_after

    # ---- commands

    def do_call(self, uri: str, headers: list[tuple[str, str]]) -> dict[str, Any]:
        line = Line(self)
        self.lines[line.number] = line
        operation = pj.CallOpParam(True)
        for name, value in headers:
            header = pj.SipHeader()
            header.hName, header.hValue = name, value
            operation.txOption.headers.append(header)
        line.makeCall(uri, operation)
        return {"call": line.number}

    def do_answer(self, line: Line, status: int = 200) -> None:
        operation = pj.CallOpParam(True)
        operation.statusCode = status
        line.answer(operation)

    def do_hangup(self, line: Line, status: int = 0) -> None:
        line.answer_at = None
        operation = pj.CallOpParam()
        operation.statusCode = status
        line.hangup(operation)

    def do_hangup_all(self) -> None:
        for line in self.lines.values():
            line.answer_at = None
        self.endpoint.hangupAllCalls()

    def do_say(self, path: str | None, loop: bool) -> None:
        """What every call of this phone says from its first packet on."""
        self.say = None if path is None else (path, loop)

    def do_play(self, line: Line, path: str, loop: bool) -> None:
        line.play(path, loop)

    def do_dtmf(self, line: Line, digits: str) -> None:
        line.dialDtmf(digits)

    def do_info(self, line: Line, digits: str) -> None:
        """Press keys by INFO, `application/dtmf-relay`."""
        for digit in digits:
            key = pj.CallSendDtmfParam()
            key.method, key.digits = pj.PJSUA_DTMF_METHOD_SIP_INFO, digit
            line.sendDtmf(key)

    def do_hold(self, line: Line) -> None:
        line.setHold(pj.CallOpParam(True))

    def do_unhold(self, line: Line) -> None:
        operation = pj.CallOpParam(True)
        operation.opt.flag = pj.PJSUA_CALL_UNHOLD
        line.reinvite(operation)

    def do_reoffer(self, line: Line, codec: str) -> None:
        """Offer anew in mid-call, now with this codec alone."""
        self._choose_codecs(codec)
        operation = pj.CallOpParam(True)
        operation.opt.flag = pj.PJSUA_CALL_REINIT_MEDIA
        line.reinvite(operation)
        self._choose_codecs(self.settings.codec)

    def do_transfer(self, line: Line, uri: str) -> None:
        line.xfer(uri, pj.CallOpParam())

    def do_transfer_to(self, line: Line, other: int) -> None:
        """Attended transfer: the two whom this phone talks to shall talk to each other (RFC 3891 Replaces)."""
        line.xferReplaces(self._line(other), pj.CallOpParam())

    def do_report(self, line: Line) -> dict[str, Any]:
        return line.report()

    def do_quit(self) -> None:
        self.running = False


def is_complete_wav(path: Path) -> bool:
    """The RIFF header names the file's real length only once the recorder has been closed."""
    with contextlib.suppress(OSError), path.open("rb") as wav:
        header = wav.read(8)
        return len(header) == 8 and int.from_bytes(header[4:], "little") + 8 == path.stat().st_size > 44
    return False


LINE_COMMANDS = {
    "answer", "hangup", "play", "dtmf", "info", "hold", "unhold", "reoffer", "transfer", "transfer_to", "report",
}  # fmt: skip


@contextlib.contextmanager
def _silent_stdout() -> Any:
    """pjlib prints its first lines before its log level can be set: send them nowhere."""
    kept = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        sys.stdout.flush()
        os.dup2(nowhere, 1)
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)


def main() -> None:
    Softphone(Settings(**json.loads(sys.argv[1]))).run()


if __name__ == "__main__":
    main()
