"""Does each line's prompt say all that the line will do, truthfully, and nothing that cannot be done?

`check` gives what stops the start; `advise_lines` what an administrator should hear about.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from qm_sip.announce.choose import spoken_for
from qm_sip.announce.lint import length_fault, lint
from qm_sip.announce.needs import check_needs, needs, stoppable, uses_of
from qm_sip.announce.prompts import (
    HONOURED_KEYS,
    Prompt,
    PromptKind,
    PromptLibrary,
    load_all_errors,
    read_sidecar,
)
from qm_sip.config import Config
from qm_sip.config.duration import Duration
from qm_sip.config.lines import Line
from qm_sip.errors import ConfigError
from qm_sip.policy.clocks import destroyed_by

Place = tuple[str, str]  # folder and name of a prompt's files

# How long recordings are kept, as the shipped K21 says it.
K21_SAYS = re.compile("twee maanden|two months")
K21_MEANS = Duration.parse("P2M")


def needed(config: Config, library: PromptLibrary) -> frozenset[Place]:
    """The prompts that these settings may make heard."""
    lines = [line for line in config.lines.line.values() if uses_of(line)]
    notices = {(language, line.prompt) for line in lines for language in line.languages}
    return frozenset(notices | {need.place for need in needs(config, library)})


def load_for(config: Config) -> PromptLibrary:
    """The prompts, if everybody can be told the truth with them; else the first ConfigError.

    A prompt that these settings never play may be broken or not built yet: it is left out.
    """
    library, faults = load_all_errors(config.server.prompts.directory)
    wanted = needed(config, library)
    errors = [fault for fault in faults if wanted and is_about(fault, wanted)] or check(config, library)
    if errors:
        raise errors[0]
    return library


def is_about(fault: ConfigError, places: frozenset[Place]) -> bool:
    """Whether a fault of a prompt directory concerns one of these prompts, or the directory as a whole."""
    path = Path(fault.file)
    return (path.parent.name, path.stem) in places or path.suffix not in (".wav", ".toml")


def check(config: Config, library: PromptLibrary) -> list[ConfigError]:
    """Everything about prompts that stops the start."""
    return check_lines(config, library) + check_needs(config, library)


def check_lines(config: Config, library: PromptLibrary) -> list[ConfigError]:
    """Every line whose customers would not be told, or would be told something else than what happens."""
    file = config.directory / "lines.toml"
    return [
        ConfigError(problem, file=file, key=f"line.{name}.{key}", remedy=remedy)
        for name, line in config.lines.line.items()
        if uses_of(line)
        for key, problem, remedy in _line_faults(line, library)
    ]


Fault = tuple[str, str, str]  # key, problem, remedy


def _line_faults(line: Line, library: PromptLibrary) -> Iterator[Fault]:
    for language in line.languages:
        prompt = library.find(line.prompt, language)
        if prompt is None:
            where = library.directory / language / f"{line.prompt}.wav"
            yield "prompt", f"no prompt {line.prompt!r} in language {language!r}", f"put one at {where}"
        else:
            yield from _prompt_faults(line, prompt)


def _prompt_faults(line: Line, prompt: Prompt) -> Iterator[Fault]:
    name = f"prompt {prompt.id} ({prompt.language})"
    if prompt.kind is not PromptKind.CUSTOMER_NOTICE:
        yield "prompt", f"{name} is a {prompt.kind}, not a customer-notice", "choose a notice"
        return
    for use in sorted(uses_of(line) - prompt.uses):
        yield "prompt", f"{name} does not say {use}", "choose a prompt that does, or switch the use off"
    for purpose in sorted(set(line.purposes) - prompt.purposes):
        yield "purposes", f"{name} does not name purpose {purpose}", "what is not named may not be done"
    says = _should_say(line)
    if says and prompt.says != says:
        yield (
            "prompt",
            f'{name} says "{prompt.says}" where capture = {line.capture!r} needs "{says}"',
            "FAQ-A.17",
        )
    if prompt.identity not in spoken_for(line):
        problem = f"{name} says {prompt.identity!r}, which is neither controller nor client of the line"
        yield (
            "controller",
            problem,
            f"set identity in {prompt.path.with_suffix('.toml').name} and build it again",
        )
    remedy = "choose one without a key, such as K1-all-short"
    for key in sorted(set(prompt.keys) - HONOURED_KEYS):
        yield "prompt", f"{name} promises key {key}, which does nothing", remedy
    if line.opt_out_key in prompt.keys and not stoppable(line):
        yield (
            "prompt",
            f"{name} promises key {line.opt_out_key}, but nothing of this line can be stopped",
            remedy,
        )


def _should_say(line: Line) -> str | None:
    """A false "may" is as wrong as a false "does" (FAQ-A.17)."""
    if line.capture == "none":
        return None
    return "does" if line.capture == "all" else "may"


def advise_lines(config: Config, library: PromptLibrary) -> list[str]:
    """Prompts that are too long, or whose text breaks a rule; lines whose customers cannot object by key."""
    used = {
        (name, prompt.path): (line, prompt)
        for name, line in config.lines.line.items()
        for language in line.languages
        if uses_of(line) and (prompt := library.find(line.prompt, language))
    }
    advice = [text for (name, _), (line, prompt) in used.items() for text in _line_advice(name, line, prompt)]
    advice += [
        text for (name, _), (line, _) in used.items() for text in _kept_longer(config, library, name, line)
    ]
    others = [library.find(need.id, need.language) for need in needs(config, library)]
    heard = [prompt for _, prompt in used.values()] + [prompt for prompt in others if prompt]
    sidecars = sorted({prompt.path.with_suffix(".toml") for prompt in heard})
    return list(dict.fromkeys(advice)) + [text for path in sidecars for text in _text_advice(path)]


def _line_advice(name: str, line: Line, prompt: Prompt) -> Iterator[str]:
    where = f"line.{name}: prompt {prompt.id} ({prompt.language})"
    most = line.prompt_max.seconds
    if prompt.duration > most:
        yield f"{where} lasts {prompt.duration:.1f} s, more than prompt_max ({most:.0f} s)"
    elif fault := length_fault(prompt.duration, agent_waits=line.announce == "on-answer"):
        yield f"{where} {fault.text}: an agent waits meanwhile"
    if stoppable(line) and line.opt_out_key not in prompt.keys:
        yield f"line.{name}: prompt {prompt.id} offers no key to object: customers do not hear how they can"


def _kept_longer(config: Config, library: PromptLibrary, name: str, line: Line) -> Iterator[str]:
    """K21 must not promise an end that comes later (rule 6)."""
    now = datetime.now(UTC)
    ends = {purpose: destroyed_by(config, purpose, now) for purpose in line.purposes}
    late = sorted(purpose for purpose, end in ends.items() if end and end > K21_MEANS.after(now))
    said = [prompt for language in line.languages if (prompt := library.find("K21", language))]
    if late and any(K21_SAYS.search(prompt.text) for prompt in said):
        yield f"line.{name}: K21 says two months at most, but {', '.join(late)} is kept longer: change its text"


def _text_advice(path: Path) -> Iterator[str]:
    for fault in lint(read_sidecar(path)):
        yield f"{path}: {fault.text} (rule {fault.rule})"
