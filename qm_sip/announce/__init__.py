"""What an outside party hears before anything of the call is used: texts, WAV files, language, cover.

- `prompts`  a prompt is a WAV and a sidecar TOML beside it; `load` reads and checks them all
- `lint`     the eight rules for a text that a customer hears
- `choose`   which prompt a call gets: the line's, in the language asked for, or none (then it is blocked)
- `coverage` does each line's prompt say all that the line will do, and nothing else?
- `needs`    which confirmations, notices to staff and tones must be there for what the settings can make heard
- `build`    `qm-sip prompts build`: espeak-ng speaks the texts, `tones` sounds the tones
- `document` writes docs/prompts.md, every word that anybody hears

Playing is the media engine's work, and so is the proof that a prompt was played to its end (I2).
"""
