"""Announced silent monitoring: a supervisor listens to a running call, after the agent has been told.

- `menu`       what he is asked on the phone, and what his keys mean.
- `session`    one supervisor, from dialling to the last sample: who he is, may he, is there a call; then listening.
- `room`       all sessions; who waits for which agent's next call.

The rules are in `qm_sip/policy/listening.py`; what the call does is `qm_sip/call/listening.py`; that nobody can hear
him, and that he hears nothing before the agent's notice, is the engine's.
"""
