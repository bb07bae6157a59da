"""Second part of the suite: every method, and the transport below it. Case ids begin with ``rpc.``.

- ``methods``: what each method does with its parameters (MS-SWN 3.1.4).
- ``association``: endpoint mapper, bind, alter_context, association groups, rundown.
- ``calls``: call ids, fragments, several calls at a time, cancels, faults.
- ``security``: authentication, access checks, signatures, padding, verification trailers.

The folder is not part of a case's id: ``methods/test_register.py`` has the cases ``rpc.register.*``. How stub
data is encoded is in ``ndr``; what needs events of the cluster is in ``cluster``.
"""
