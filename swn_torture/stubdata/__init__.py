"""Stub data: the names, fields and NDR encodings that every interface of this project is built with.

- ``syntax``: identifiers of interfaces and of transfer syntaxes (NDR32, NDR64, bind-time features).
- ``fields``: named fields, written and read one after the other without gaps.
- ``ndr``: NDR32 and NDR64 on top of that: alignment, counts, pointers, strings, UUIDs, context handles.
- ``win32``: Win32 codes and their symbols.

The witness interface, clusapi, srvsvc, the endpoint mapper and the management interface all use ``ndr``;
there is no other NDR here. One reader of stub data stays independent of it on purpose: ``casekit.raw`` checks
the octets of a server under test, so that an error in this package cannot hide an error of that server.
"""
