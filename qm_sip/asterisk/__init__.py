"""Beside Asterisk: what its manager interface (AMI) tells of our calls, what it is told, and how it is set up.

    message -> manager -> floor -> ear
    bytes      login       who is    which of our calls
               answers     with whom that concerns

- `message`: the text of AMI, both ways.
- `manager`: one connection: greeting, login, the first look around, actions and their answers. A plain object.
- `floor`: who is in which bridge of Asterisk's, by what it tells. Knows nothing of our calls.
- `ear`: what of that concerns a call of ours, by the SIP Call-ID of a leg, and what the call is told.

Nothing here is needed for a call. Without AMI less is known, and what is not known is taken for the worse (`away` in
the settings). Asterisk's word opens no gate: whoever it names is decided upon like anybody whom SIP names.
"""
