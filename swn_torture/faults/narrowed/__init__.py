"""Narrowed faults, each restricted to one condition: only the cases of its own requirement can see it.

* `entries`: registrations that are wrong from the start.
* `pending_calls`: pending calls, and the length of notifications.
* `conditions`: requests, responses, stubs, the interface list, handles.
* `after_errors`: servers that ignore the next calls after something unusual.
* `objects`: requests with an object UUID.
* `several_defects`: registrations with several wrong parameters.
* `towers`: the endpoint mapper.
"""
