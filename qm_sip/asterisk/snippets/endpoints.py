"""pjsip.conf: us as an endpoint."""

from __future__ import annotations

from qm_sip.asterisk.snippets.place import Place

_LOOP = """; qm_sip beside Asterisk, loop-through: calls that must pass qm_sip are sent to PJSIP/<extension>@qm-sip,
; and qm_sip calls back into [from-qmsip]. In pjsip.conf:   #include pjsip_qm_sip.conf
; Also needed in [global] of pjsip.conf:   endpoint_identifier_order=ip,username,anonymous

[qm-sip]
type=endpoint
context=from-qmsip          ; the real extensions and nothing that leads to qm-sip again
identify_by=ip
aors=qm-sip
disallow=all
allow=alaw,ulaw
direct_media=no             ; yes: Asterisk's own re-INVITEs pull private calls back through a relay
trust_id_inbound=yes        ; the caller of the call back is taken from qm_sip's P-Asserted-Identity
trust_id_outbound=yes       ; no: a colleague with caller id off is never announced to qm_sip
send_pai=yes                ; no (the default): qm_sip never learns of a transfer
send_diversion=yes
moh_passthrough=yes         ; hold reaches qm_sip as a re-INVITE, so it is not recorded
rtp_symmetric=yes

[qm-sip]
type=aor
contact={contact}
qualify_frequency=3         ; how soon Asterisk notices that qm_sip is gone: 3 s + 1 s at worst
qualify_timeout=1.0

[qm-sip]
type=identify
endpoint=qm-sip
match={match}        ; qm_sip's own address: a foreign source must not be able to pose as it
"""

_TRUNK = """; qm_sip on the trunk side: carrier <-> qm_sip <-> Asterisk. This is what Asterisk knows as its trunk.
; In pjsip.conf:   #include pjsip_qm_trunk.conf

[qm-trunk]
type=endpoint
context=from-carrier
identify_by=ip
aors=qm-trunk
disallow=all
allow=alaw,ulaw
direct_media=no
trust_id_inbound=yes        ; the customer's number
trust_id_outbound=yes       ; which agent it is, also one with caller id off
send_pai=yes                ; transfers inside Asterisk are told to qm_sip
rtp_symmetric=yes

[qm-trunk]
type=aor
contact={contact}
qualify_frequency=3
qualify_timeout=1.0

[qm-trunk]
type=identify
endpoint=qm-trunk
match={match}
"""


def loop(place: Place) -> str:
    return _LOOP.format(contact=place.contact, match=place.match)


def trunk_side(place: Place) -> str:
    return _TRUNK.format(contact=place.contact, match=place.match)
