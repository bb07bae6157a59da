"""Calls on a connection: identification, fragments, concurrency, cancellation, errors.

- ``test_call_ids``: call_id in requests and answers.
- ``test_multiplexing``: several outstanding calls, on one connection and on many.
- ``test_cancel``: co_cancel, orphaned, PFC_PENDING_CANCEL.
- ``test_fragments``: requests in fragments, limits on their size, negotiated fragment sizes.
- ``test_response_fragments``: responses in fragments.
- ``test_segmentation``: PDUs across TCP segments, incomplete PDUs, wrong frag_length.
- ``test_faults``: faults, after which the connection still serves, and their status codes.
- ``test_unexpected_pdus``: PDU types that do not fit the state of the connection, PFC_MAYBE.
"""
