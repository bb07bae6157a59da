"""Security contexts: authentication of the client, and protection of PDUs (MS-RPCE 3.3.1.5.2).

- ``levels``: authentication types and levels.
- ``context``: the protocol that every security context implements, and the client's credentials.
- ``initiator``: makes the client's end of a security context.
- ``acceptor``: makes the server's end, for accounts kept in memory or a Kerberos keytab.
- ``providers``: security contexts on top of pyspnego: NTLM, SPNEGO, Kerberos.
- ``tickets``: Kerberos tickets of the accounts of this process, and contexts made with them.
- ``extra``: whether Kerberos is installed.
- ``ntlm``: NTLM and SPNEGO with the parts that pyspnego's public interface does not offer.
- ``protection``: one security context of a connection: it signs, seals and verifies PDUs.

The providers are imported when the first context is made. A program that binds without authentication does
not load them.
"""
