"""The command line's way into the running server: a Unix socket, one JSON object a line (docs/control.md).

- `server`    accepts connections, knows who is there (SO_PEERCRED), hands each request to its handler
- `client`    asks one thing and gives the answer, or a clear error
- `handlers`  the answers; `history` those about calls, `playback` about recordings, `retention` about what goes when,
              `private` for the agent about his private calls, `monitoring` about who listened, `authorised` about who
              may, `drawing` about samples, `steering` for what a command may do to a running call
- `telling`   reasons as sentences
- `permit`    who is asking, and who may see who phoned whom
"""
