"""Whole calls in one process: two random users, the switchboard and its engine, a bad network, restarts."""
