"""Facts in, decision out: no sockets, no clock, no files.

- `facts`     what a call carries, as values
- `identify`  from what SIP showed to the facts: which line, which kind, who is who, does its agent want it private
- `gate`      the one gate for every use of live audio: a table of rules, the first no decides
- `draw`      fair samples by a committed seed;  `triggers` a closed list of conditions
- `listening` who may listen to whom, how often, and what is said if not;  `plans`, `grants`, `codes` beneath it
- `path`      where the media goes: untouched, direct, or through the relay
- `clocks`    when a recording must be gone;  `purposes` the closed list and its modes
- `playback`  who may play what exists;  `reasons` every code with its meaning
"""
