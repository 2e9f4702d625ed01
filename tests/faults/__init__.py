"""What goes wrong around a running server, and what must hold all the same: real processes, sockets and deaths."""
