"""Security of connections and calls: authentication, access to methods, protection of PDUs.

- ``test_authentication``: how security contexts are established, accepted and rejected.
- ``test_later_legs``: other fields of the sec_trailer in a later leg.
- ``test_access``: which methods a caller can call, by authentication service, level and account.
- ``test_signatures``: changed, replayed, reordered and unsigned PDUs; header signing.
- ``test_auth_padding``: padding before the sec_trailer.
- ``test_verification_trailer``: the verification trailer after the stub data.
"""
