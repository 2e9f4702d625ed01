"""Which calls are private or confidential: `match` looks both sides up, `toggle` says who may make a call
private.
"""
