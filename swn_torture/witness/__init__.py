"""The Service Witness Protocol: constants, messages, encodings, and a client.

- ``constants``: the enumerations and numbers of MS-SWN.
- ``messages``: the requests and responses of the six methods, as values.
- ``notifications``: the contents of RESP_ASYNC_NOTIFY.MessageBuffer, as values and octets.
- ``codec``: messages to stub data and back, in NDR32 and NDR64.
- ``client``: a client with a method for each call. It is the only module with I/O.

Win32 codes are in ``swn_torture.stubdata.win32``.
"""
