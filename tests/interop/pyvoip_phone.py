"""One pyVoIP phone in a process of its own, told what to do by words on its standard input; JSON lines come back.

    call NUMBER | answer | deny | hangup

pyVoIP is GPL: only this process imports it. It registers before it does anything else; here its calls come and go by a
fixed address, so that step is left out.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from typing import Any

import numpy as np
import soundfile

from pyVoIP.VoIP import CallState, VoIPCall, VoIPPhone  # isort: skip - its modules know each other: this one first
from pyVoIP.SIP import SIPClient  # isort: skip

RATE = 8000


def emit(**facts: Any) -> None:
    print(json.dumps(facts), flush=True)


class Telephone:
    def __init__(self, address: str, server: str, port: int, hz: float, wav: str) -> None:
        SIPClient.register = SIPClient.deregister = lambda self: True
        self.wav = wav
        self.tone = eight_bits(hz)
        self.call: VoIPCall | None = None
        self.phone = VoIPPhone(
            server, port, "peer", "", callCallback=self.incoming, myIP=address, sipPort=5060,
            rtpPortLow=10000, rtpPortHigh=10200,
        )  # fmt: skip
        # It counts its Call-IDs and branches from 1: the second process would repeat the first one's INVITE.
        self.phone.sip.callID.x = time.time_ns()
        self.phone.start()

    def incoming(self, call: VoIPCall) -> None:
        self.take(call)
        emit(state="incoming")

    def take(self, call: VoIPCall) -> None:
        self.call = call
        threading.Thread(target=self.follow, args=(call,), daemon=True).start()

    def follow(self, call: VoIPCall) -> None:
        """Talk and listen as long as the call is up, then write down what was heard."""
        while call.state in (CallState.DIALING, CallState.RINGING):
            time.sleep(0.02)
        heard = b""
        if call.state is CallState.ANSWERED:
            emit(state="up")
            call.write_audio(self.tone)
        while call.state is CallState.ANSWERED:
            heard += call.read_audio(160, blocking=False)
            if digit := call.get_dtmf():
                emit(key=digit)
            time.sleep(0.02)
        samples = (np.frombuffer(heard, np.uint8).astype(np.float64) - 128) / 128
        soundfile.write(self.wav, samples, RATE, subtype="PCM_16")
        emit(state="over")

    def obey(self, words: list[str]) -> None:
        if words[0] == "call":
            self.take(self.phone.call(words[1]))
        elif self.call is not None:
            getattr(self.call, words[0])()


def eight_bits(hz: float) -> bytes:
    """Ten seconds of a tone as pyVoIP wants it: one unsigned byte a sample."""
    wave = 128 + 40 * np.sin(2 * np.pi * hz * np.arange(RATE * 10) / RATE)
    return wave.astype(np.uint8).tobytes()


def main() -> None:
    address, server, port, hz, wav = sys.argv[1:]
    telephone = Telephone(address, server, int(port), float(hz), wav)
    emit(state="ready")
    for line in sys.stdin:
        try:
            telephone.obey(line.split())
        except Exception as error:  # it is not our library: what it cannot do is an answer too
            emit(failed=f"{line.strip()}: {error!r}")


if __name__ == "__main__":
    main()
