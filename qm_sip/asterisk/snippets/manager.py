"""manager.conf and features.conf: our user of the manager, and the codes that Asterisk itself reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from qm_sip.config.clashes import legs

if TYPE_CHECKING:
    from qm_sip.config import Config

# Of each code that begins like one of Asterisk's the first key is held back, and nobody hears the other meanwhile. The
# last can be pressed on no phone: only its record key says it.
CODES: Final = ("#77", "*77", "D77")

_USER = """; Asterisk's manager for qm_sip. In manager.conf:   #include manager_qm_sip.conf
; and under [general] there:
;   enabled=yes
;   bindaddr=127.0.0.1             ; or, on another machine, tlsenable=yes and tlsbindaddr
;   timestampevents=yes            ; without it no event is believed to be in time
;   channelvars=QM_LEG,QM_PARENT   ; never CHANNEL(pjsip,call-id): it hangs calls

[{user}]
secret=                     ; yours, and long: the same as in qm_sip's asterisk.secret_file
deny=0.0.0.0/0.0.0.0
permit=127.0.0.1/255.255.255.255   ; where qm_sip comes from
read=call,agent,user,system
write=call,reporting        ; call: lamps. reporting: channels, and the dialplan for `check`
"""

_FEATURES = """; qm_sip beside Asterisk: the codes that Asterisk itself reads during a call.
; As the last line of features.conf:   #include features_qm_sip.conf
;
; An agent makes a call private, pauses, has it recorded or objects for the customer by codes of lines.toml
; ({ours}). Asterisk's own code for hanging up is *, and each key that could begin a code of its own is
; held back for a second, or never sent on. So its codes are emptied here; `asterisk -rx 'features show'` shows it, and
; `qm-sip check --asterisk /etc/asterisk` reads it.
;
; If your agents transfer by code, take codes that begin with # for it, below this line's include:
;   [featuremap]
;   blindxfer => #1
;   atxfer => #2
;
; Pickup (pickupexten, *8) is dialled, not pressed during a call: it can stay.
[featuremap]
blindxfer =>
disconnect =>
atxfer =>
parkcall =>
automixmon =>

; A phone's record key, or {code}: the call is private from then on, if qm_sip hears Asterisk's manager. On the phones'
; endpoints in pjsip.conf: one_touch_recording=yes, record_on_feature=qmpriv, record_off_feature=qmpriv
[applicationmap]
qmpriv => {code},self,UserEvent,"QMPrivate,Leg: ${{QM_PARENT}}"
"""


def user(config: Config) -> str:
    return _USER.format(user=config.server.asterisk.user)


def features(config: Config) -> str:
    """With a code of Asterisk's own for the record key that takes none of ours."""
    pressed = sorted({one.code for leg in legs(config.lines) for one in leg})
    code = next(one for one in CODES if one[0] not in {other[0] for other in pressed})
    ours = ", ".join(one for one in pressed if len(one) > 1)
    return _FEATURES.format(code=code, ours=ours)
