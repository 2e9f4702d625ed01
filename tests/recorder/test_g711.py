"""G.711: the table against the values of the recommendation, and against libsndfile's own decoder."""

import io
import struct

import numpy as np
import pytest
import soundfile

from qm_sip.recorder.g711 import PCMA, PCMU, TABLE

# ITU-T G.711 tables 1a and 2a: character signal -> quantized value (13 or 14 bit), here times 8 or 4.
ALAW = {0xD5: 1, 0x55: -1, 0xD4: 3, 0xC5: 33, 0xA5: 2112, 0xAA: 4032, 0x2A: -4032, 0x80: 688}
ULAW = {0xFF: 0, 0x7F: 0, 0xFE: 2, 0x7E: -2, 0xF0: 30, 0xEF: 33, 0x80: 8031, 0x00: -8031}


@pytest.mark.parametrize(("octet", "value"), ALAW.items())
def test_alaw_is_as_the_recommendation_says(octet: int, value: int) -> None:
    assert TABLE[PCMA][octet] == 8 * value


@pytest.mark.parametrize(("octet", "value"), ULAW.items())
def test_ulaw_is_as_the_recommendation_says(octet: int, value: int) -> None:
    assert TABLE[PCMU][octet] == 4 * value


@pytest.mark.parametrize(("law", "tag"), [(PCMA, 6), (PCMU, 7)])
def test_every_octet_decodes_as_libsndfile_decodes_it(law: int, tag: int) -> None:
    octets = bytes(range(256))
    form = struct.pack("<HHIIHH", tag, 1, 8000, 8000, 1, 8)
    wav = b"RIFF" + struct.pack("<I", 4 + 8 + 16 + 8 + 256) + b"WAVE"
    wav += b"fmt " + struct.pack("<I", 16) + form + b"data" + struct.pack("<I", 256) + octets
    theirs, _ = soundfile.read(io.BytesIO(wav), dtype="int16")
    assert np.array_equal(TABLE[law], theirs)
