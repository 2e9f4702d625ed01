"""The command `qm-sip`: one module for each group of commands, documented in docs/commands.md.

- `main`     the app, and the one place where an error becomes a line on stderr and an exit status
- `options`  options that several commands share
- `output`   tables for people, JSON for programs
- `ask`      a request to the running server
"""
