"""The recorder: what was kept of a call becomes a sealed file, an entry, and nothing else.

- `journal` reads what the engine sealed while the call ran; `timeline` lays it on one time axis
- `render` makes the FLAC and seals it, in `renderer` processes that a `pool` keeps; `finish` orders the steps
- `catalog` keeps what is known, who-and-when sealed
- `keeper` turns what calls say into catalog rows; `recovery` completes what a crash left
- `permit` says who may use a recording for what; `export` opens one, for who holds an identity
"""
