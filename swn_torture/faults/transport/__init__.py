"""Realistic faults of the RPC transport: binding, PDUs, calls, security, endpoint mapper.

Association:

* `binding`: bind, presentation contexts, transfer syntaxes, bind-time features.
* `associations`: alter_context and association groups.
* `mapper`: the endpoint mapper.

Calls:

* `stubs`: opnums and request stubs.
* `fragments`: fragments and TCP segments.
* `fields`: fields of PDUs that most clients do not look at.
* `calls`: call ids, order, parallel calls, fault PDUs.
* `cancels`: co_cancel and orphaned PDUs.

Security:

* `security`: authentication, verifiers, verification trailers.
* `spnego`: the mechanism that SPNEGO chooses, the mechListMIC.
"""
