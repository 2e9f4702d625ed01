"""The command line's way into the running server: a Unix socket, one JSON object a line (docs/control.md).

- `server`    accepts connections, knows who is there (SO_PEERCRED), hands each request to its handler
- `client`    asks one thing and gives the answer, or a clear error
- `handlers`  the answers
- `permit`    who is asking, and may he have it: the purpose-use check of playback and of party data
"""
