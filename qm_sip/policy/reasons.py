"""Every reason that policy gives, each with the sentence a works council could read. Codes never change.

docs/rules.md shows this list; `tests/policy/test_reasons.py` holds the two together.
"""

from __future__ import annotations

from qm_sip.policy.facts import Reason, Tell

STAFF = frozenset({Tell.AGENT, Tell.OFFICER, Tell.COUNCIL, Tell.ADMIN})
SPOKEN = STAFF | {Tell.SPOKEN}
NOBODY: frozenset[Tell] = frozenset()

MEANINGS: dict[str, str] = {}


def _reason(code: str, requirement: str, meaning: str, tell: frozenset[Tell] = STAFF) -> Reason:
    MEANINGS[code] = meaning
    return Reason(code, requirement, tell)


# Prohibitions of who is in the call
EMERGENCY = _reason("emergency", "rule 1", "An emergency number: the call is not touched.", NOBODY)
CONFIDENTIAL = _reason(
    "confidential",
    "KSF15-2.1l",
    "A confidential function or person is in the call; only a count exists.",
    NOBODY,
)
NO_PARTICIPANT = _reason(
    "no-participant", "FAQ-B.6", "Nobody of ours is left in the call who may keep any of it."
)
PRIVATE_LINE = _reason(
    "private-line", "WP-17", "A phone in the break room, a number for the family, or a line of kind private."
)
PRIVATE_CALL = _reason("private-call", "KSF15-3.9", "The agent made the call private.")
PRIVATE_REFUSED = _reason(
    "private-refused",
    "KSF15-6.3a",
    "The agent wanted it private, and was told that the law requires a recording of this line's calls.",
)
PRIVATE_NOT_OURS = _reason(
    "private-not-ours",
    "KSF15-3.9",
    "The private prefix was dialled by somebody who is not one of our own people, or from where it is not allowed.",
)
NO_RULE = _reason("no-rule", "KSF15-1.3b", "No rule says that this is a customer-facing line.")
COLLEAGUES = _reason("colleagues", "KSF15-1.3b", "Only our own people are in the call.")
OBJECTED = _reason("objected", "WP-26", "The customer objected to this use.")
AGREED = _reason(
    "agreed-not-recorded", "FAQ-B.7", "It was agreed with this customer that nothing is recorded or heard."
)

# What the line and the regulation say
CAPTURE_NONE = _reason("capture-none", "KSF15-0.2", "The line's capture mode is none.")
NOT_DRAWN = _reason("not-drawn", "KSF15-0.2", "The line takes a sample, and this call was not drawn.")
NO_DRAW = _reason(
    "no-draw", "KSF15-0.2", "The line takes a sample, and no committed seed was there to draw by."
)
NOT_REQUESTED = _reason(
    "not-requested", "KSF15-0.2", "The line records at the agent's request, and he has not asked."
)
NO_TRIGGER = _reason("no-trigger", "KSF15-0.2", "The call meets none of the line's triggers.")
LISTENING_OFF = _reason("listening-off", "KSF15-6.6a", "The line does not allow live listening.", SPOKEN)
NO_PURPOSE = _reason("no-purpose", "KSF15-2.1b", "The line names no purpose.")
PURPOSE_NOT_ALLOWED = _reason(
    "purpose-not-allowed",
    "KSF15-2.1b",
    "A purpose of the line is not in the regulation, or not enabled there.",
)
PURPOSE_NOT_RECORDED = _reason(
    "purpose-not-recorded", "KSF15-1.2", "A purpose of the line may not be recorded for."
)
PURPOSE_NOT_LIVE = _reason(
    "purpose-not-live", "KSF15-1.2c", "No purpose of the line allows live listening.", SPOKEN
)
PURPOSE_NOT_OF_LINE = _reason(
    "purpose-not-of-line", "FAQ-A.14", "The line's customers are told nothing of this purpose.", SPOKEN
)
NOT_TOGETHER = _reason(
    "not-together",
    "KSF15-1.2b",
    "For this purpose a call may be recorded or listened to, not both at once.",
    SPOKEN,
)
CLOCK_MISSING = _reason(
    "clock-missing", "KSF15-2.1i", "For a purpose of the line no end to keeping it is set."
)
NO_KEYS = _reason("no-keys", "WP-20", "Nobody holds a key that could open a recording for this purpose.")
LANGUAGE_NOT_OFFERED = _reason(
    "language-not-offered", "KSF15-6.6a", "The notice does not exist in the language the customer asked for."
)
NOT_IN_FORCE = _reason("regulation-not-in-force", "KSF15-1.1b", "There is no regulation in force.", SPOKEN)
SCOPE_NOT_CONSENTED = _reason(
    "scope-not-consented",
    "KSF15-3.11",
    "The works council did not consent to this line's scope, or not for this.",
    SPOKEN,
)

# The agent
AGENT_UNKNOWN = _reason("agent-unknown", "KSF15-3.2a", "It is not known which person the agent is.")
AGENT_NOT_IN_POPULATION = _reason(
    "agent-not-in-population",
    "KSF15-3.2a",
    "The agent is not among those whose calls may be recorded.",
    SPOKEN,
)
AGENT_WITHOUT_NOTICE = _reason(
    "agent-without-notice",
    "KSF15-3.7.3",
    "The agent was not given the present notice long enough before.",
    SPOKEN,
)

# What outside parties were told
NOT_TOLD = _reason("not-told", "KSF15-6.6a", "An outside party has been told nothing yet.", SPOKEN)
USE_NOT_TOLD = _reason("use-not-told", "KSF15-6.6a", "An outside party was not told of this use.", SPOKEN)
PURPOSE_NOT_TOLD = _reason(
    "purpose-not-told", "FAQ-A.14", "An outside party was not told of a purpose.", SPOKEN
)
IDENTITY_NOT_TOLD = _reason(
    "identity-not-told",
    "KSF15-6.6a",
    "What an outside party was told names another than who is responsible.",
    SPOKEN,
)

NO_PLAN = _reason(
    "no-plan",
    "KSF15-0.5",
    "No plan for listening to this agent for this purpose was published before.",
    SPOKEN,
)
RULE_FAILED = _reason("rule-failed", "KSF15-1.3", "A rule could not be evaluated, so the answer is no.")

# Yes
CAPTURE_ALL = _reason(
    "capture-all", "KSF15-0.2", "The line's capture mode is all, and everything it needs is there."
)
CAPTURE_SAMPLE = _reason(
    "capture-sample",
    "KSF15-0.2",
    "The line takes a sample, and this call was drawn by the day's committed seed.",
)
CAPTURE_REQUEST = _reason(
    "capture-request", "KSF15-0.2", "The line records at the agent's request, and he asked."
)
CAPTURE_TRIGGER = _reason(
    "capture-trigger", "KSF15-0.2", "The call meets one of the line's triggers; the cause names it."
)
LEGAL_DUTY = _reason("legal-duty", "KSF15-6.3a", "The law requires a recording of this line's calls.")
LISTENING_ALLOWED = _reason(
    "listening-allowed", "KSF15-1.2a", "Live listening is agreed for this line and purpose."
)

# Listening: who asks, and whether he may (people.md 4D)
LISTENER_UNKNOWN = _reason(
    "listener-unknown", "KSF15-3.3.1", "This person is not authorised to listen.", SPOKEN
)
WRONG_CODE = _reason("wrong-code", "KSF15-3.3.1", "The code is wrong, or the account is locked.", SPOKEN)
LISTENING_TO_HIMSELF = _reason("listening-to-himself", "KSF15-3.3.1", "Nobody listens to himself.", SPOKEN)
LISTENER_NOT_FOR_AGENT = _reason(
    "listener-not-for-agent", "KSF15-3.3.1", "Not authorised to listen to this agent.", SPOKEN
)
LISTENER_NOT_FOR_PURPOSE = _reason(
    "listener-not-for-purpose", "KSF15-3.4", "Not authorised to listen for this purpose.", SPOKEN
)
MODE_NOT_GRANTED = _reason("mode-not-granted", "KSF15-1.2", "Not authorised to monitor in this mode.", SPOKEN)
MODE_NOT_ALLOWED = _reason(
    "mode-not-allowed", "KSF15-1.2", "The regulation does not allow this mode for this purpose.", SPOKEN
)
PEER_ONLY_COACHES = _reason("peer-only-coaches", "KSF15-0.9", "A colleague listens only to coach.", SPOKEN)
CLIENT_NEVER_SCORES = _reason(
    "client-never-scores", "KSF15-6.5", "A client listens, and never to assess.", SPOKEN
)
CLIENT_OF_ANOTHER = _reason(
    "client-of-another", "KSF15-6.3b", "The call is not on behalf of the client who wants to listen."
)
CAP_REACHED = _reason(
    "cap-reached", "KSF15-3.5b", "The number or time of this month that was agreed has been reached.", SPOKEN
)
IMPROVEMENT_WINDOW = _reason(
    "improvement-window", "KSF15-2.1f", "The agent still has the time to improve that was agreed.", SPOKEN
)
MAY_LISTEN = _reason(
    "may-listen", "KSF15-3.3.1", "Authorised for this agent and purpose, under a plan that is published."
)

# Playing and exporting what exists
PLAYER_UNKNOWN = _reason("player-unknown", "KSF15-3.3.1", "This person is not authorised to play recordings.")
PLAYER_NOT_FOR_PURPOSE = _reason("player-not-for-purpose", "KSF15-3.4", "Not authorised for this purpose.")
RECORDED_FOR_OTHER = _reason(
    "recorded-for-other", "KSF15-3.4", "The recording was not made for this purpose."
)
EXPORT_NOT_GRANTED = _reason(
    "export-not-granted", "KSF15-3.3.4", "Authorised to play, not to take a copy out."
)
GRANT_MISSING = _reason(
    "grant-missing", "KSF15-3.3.2", "No manager's grant with its date is on record.", SPOKEN
)
GRANT_EXPIRED = _reason("grant-expired", "KSF15-3.3.2", "The grant has expired.", SPOKEN)
SECRECY_NOT_SIGNED = _reason(
    "secrecy-not-signed", "KSF15-3.3.5", "The statement of secrecy was not signed.", SPOKEN
)
NOT_QUALIFIED = _reason("not-qualified", "WP-14a", "The qualification to monitor has ended.", SPOKEN)
DESTROY_BY_PASSED = _reason("destroy-by-passed", "KSF15-2.1i", "The recording should no longer exist.")
GRANTED = _reason("granted", "KSF15-3.3.1", "Authorised for this purpose, and the recording was made for it.")

# Signalling with the people in it
TRACE_NOT_GRANTED = _reason(
    "trace-not-granted",
    "KSF15-3.3.1",
    "This person is not authorised to see signalling with the people in it.",
)
TRACE_GRANTED = _reason(
    "trace-granted",
    "KSF15-3.3.1",
    "Authorised to see signalling with the people in it, for the reason given.",
)

ALL: dict[str, Reason] = {
    value.code: value for value in list(globals().values()) if isinstance(value, Reason)
}
