"""Received stub data, read field by field without the codec, for cases about the layout of responses.

These readers do not use ``witness.codec``, on purpose. The codec rejects a response with contradicting
lengths or counts; a case wants to say which field is wrong. And a mistake in the codec would hide the same
mistake in a server, the reference server above all, which encodes with that codec. So the readers parse the
octets by themselves, trust no length or count in them, and leave every judgement to the case. From the other
rooms they take only constants and the names of the transfer syntaxes.

- ``notification``: ``Notification``: RESP_ASYNC_NOTIFY and the structures in its MessageBuffer; ``Cursor``.
- ``interface_list``: ``RawInterfaceList``: WITNESS_INTERFACE_LIST and its WITNESS_INTERFACE_INFO elements.
"""
