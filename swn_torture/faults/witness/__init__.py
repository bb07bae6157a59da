"""Realistic faults of the witness service: methods, notifications, registrations, timers, stubs.

Methods of the interface:

* `codes`: return values.
* `checks`: the checks of Register and RegisterEx.
* `check_order`: the same checks in a wrong order.
* `lists`: GetInterfaceList.
* `network_names`: clusters with several network names.
* `access`: access checks.

Notifications:

* `buffers`: MessageBuffer.
* `changes`: interface events and resource changes.
* `failures`: failures of nodes at awkward moments.
* `moves`: client moves, share moves and IP changes.
* `timers`: the keep-alive and unused-registration timers.

Registrations:

* `registrations`: what they hold from the start, and when they end.
* `handles`: context handles.

Octets:

* `layout`: NDR fields of responses.
* `altered_responses`: base classes of faults that alter what a server sends; holds no fault.
"""
