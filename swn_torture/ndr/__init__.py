"""First part of the suite: how stub data is encoded. Case ids begin with ``ndr.``.

What the server returns, octet by octet:

- ``test_interface_list_layout``: WITNESS_INTERFACE_LIST and WITNESS_INTERFACE_INFO (MS-SWN 2.2.2.5, 2.2.2.6).
- ``test_handles_layout``: context handles, and which methods carry them (MS-SWN 2.2.1).
- ``test_response_layout``: the out parameters of AsyncNotify around MessageBuffer.
- ``test_notification_buffers``: RESP_ASYNC_NOTIFY and what is in MessageBuffer (MS-SWN 2.2.2.1 to 2.2.2.4).

What the client sends:

- ``test_byte_order``: big-endian and little-endian requests, and other data representations.
- ``test_unique_pointers``: null pointers and all kinds of referents.
- ``test_strings``: strings that are unterminated, invalid UTF-16, empty or very long.
- ``test_malformed_stubs``: stub data that is truncated, has false counts, is missing or is too long.

What a method does with well-formed parameters is in ``rpc.methods``.
"""
