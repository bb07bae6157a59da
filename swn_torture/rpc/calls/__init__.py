"""Calls on a connection: identification, fragments, concurrency, cancellation, errors.

- ``test_call_ids``: call_id in requests and answers.
- ``test_multiplexing``: several outstanding calls, on one connection and on many.
- ``test_cancel``: co_cancel, orphaned, PFC_PENDING_CANCEL.
- ``test_fragments``: requests in fragments, limits on their size, negotiated fragment sizes.
- ``test_mixed_fragments``: fragments of one request that differ in their data representation.
- ``test_response_fragments``: responses in fragments.
- ``test_object_uuid``: requests with an object UUID.
- ``test_segmentation``: PDUs across TCP segments, incomplete PDUs, wrong frag_length.
- ``test_faults``: faults, after which the connection still serves, and their status codes.
- ``test_pdu_fields``: the fields of the PDUs that a server sends.
- ``test_wrong_fields``: unusual values of single fields in the PDUs of a client.
- ``test_unexpected_pdus``: PDU types that do not fit the state of the connection, PFC_MAYBE.
"""
