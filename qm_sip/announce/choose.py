"""Which prompt a call gets: the line's, in the language asked for; or none, and then it may not be used.

And what staff hear: in their language, or in mid-call as a tone.
"""

from __future__ import annotations

from collections.abc import Iterable

from qm_sip.announce.prompts import Prompt, PromptLibrary
from qm_sip.config import Config
from qm_sip.config.lines import Line
from qm_sip.policy.facts import CallFacts, Use


def language_for(line: Line, asked: str | None) -> str | None:
    """The language to tell in: what the header X-QM-Language asked for, else the line's first.

    A language the line does not speak is None: a notice that is not understood is no notice (KSF15-6.6a).
    """
    if not asked:
        return line.languages[0]
    wanted = asked.strip().lower().replace("_", "-").split("-")[0]
    return wanted if wanted in line.languages else None


def prompt_for(
    config: Config, library: PromptLibrary, facts: CallFacts, purposes: Iterable[str], uses: Iterable[Use]
) -> Prompt | None:
    """The prompt that tells this call's customer of these uses and purposes, or None: then it is blocked."""
    line = config.lines.line.get(facts.line)
    if line is None or not line.prompt:
        return None
    language = language_for(line, facts.language)
    prompt = library.find(line.prompt, language) if language else None
    if prompt is None or prompt.identity not in spoken_for(line) or not prompt.covers(uses, purposes):
        return None
    return prompt


def language_of_staff(config: Config, line: Line | None = None) -> str:
    """What agents and supervisors are spoken to in: the first language of the line; of [customer] for menus."""
    return (line or config.lines.customer).languages[0]


def agent_hears(config: Config, prompt_id: str, *, talking: bool) -> str:
    """The id of what stands for A1, A2 ...: while he talks a tone, unless the works council asked for speech."""
    tones = talking and config.regulation.notices.agent_mid_call == "tone"
    return f"T-{prompt_id}" if tones else prompt_id


def spoken_for(line: Line) -> set[str]:
    """The names a notice of this line may say: the controller, or the client it works for (KSF15-6.6a)."""
    return {name for name in (line.controller, line.client) if name}
