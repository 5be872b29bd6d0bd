"""Stand-ins for the customer's systems: real little servers on 127.0.0.1 that can misbehave.

`python -m simulators all` runs them from a shell, `simulators.run.running` inside a test. They
know nothing of `accountsync`; what they have in common with it is the wire, nothing else.
"""
