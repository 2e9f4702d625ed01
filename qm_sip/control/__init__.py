"""The command line's way into the running server: a Unix socket, one JSON object a line (docs/control.md).

- `server`    accepts connections, knows who is there (SO_PEERCRED), hands each request to its handler
- `client`    asks one thing and gives the answer, or a clear error
- `handlers`  the answers; `history` those about calls, `playback` those about recordings
- `telling`   reasons as sentences
- `permit`    who is asking, and who may see who phoned whom
"""
