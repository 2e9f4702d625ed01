"""What in an Asterisk would defeat the guarantee: found in its files, or live by its manager; and how to mend it.

    conf        *.conf: sections, templates, includes, each line with its file and number
    dialplan    steps of extensions, whether read from extensions.conf or told by `ShowDialPlan`
    site        all of one Asterisk as far as it is known
    rules       one small function a fault
    live        the same by AMI, with what only a running Asterisk shows

What these cannot see: a dialplan or queues in a database (`ami` sees those), AGI and ARI programs, another user of the
manager, the phone, and whoever has the machine (docs/threat-model.md).
"""

from __future__ import annotations

from qm_sip.asterisk.check.fault import Fault
from qm_sip.asterisk.check.rules import faults
from qm_sip.asterisk.check.site import Site, read_site

__all__ = ["Fault", "Site", "faults", "read_site"]
