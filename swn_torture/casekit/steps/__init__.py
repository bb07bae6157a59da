"""What many cases do besides checking: send, register, listen, change the cluster, wait.

Registrations and notifications:

- ``registering``: Register and RegisterEx as one ``Method``; handles that were never issued; the
  registrations that the cluster lists.
- ``scale_out``: check registrations that a server rejects only if it treats a share as scale-out.
- ``listeners``: ``Listener``: a registration and its pending AsyncNotify; waiting for notifications.
- ``keys``: what the keys of many registrations look like.
- ``timing``: outcomes with the seconds they took; until when a timer must have acted.

The cluster:

- ``host_nodes``: which node hosts which interface; destinations of moves; make interfaces UNAVAILABLE.
- ``interface_list``: wait for a state of the interface list; compare it with what the nodes host.
- ``network_names``: the network names of the profile, and which listed addresses belong to each.
- ``effects``: wait until an event has taken effect; see what else happened in the cluster meanwhile.
- ``local_addresses``: the addresses of this machine, to connect from another one.

Requests and PDUs that no ordinary client sends:

- ``callers``: ``EveryMethod``: call every method as some user at some authentication level.
- ``ap_requests``: Kerberos tickets that a server must reject.
- ``fallback``: SPNEGO that offers Kerberos first, and falls back to NTLM.
- ``strings``: unusual and hostile strings for parameters.
- ``stubs``: ``StubSender``: send any octets as stub data of a call.
- ``octets``: send octets on a connection, and read whatever PDU comes back.
"""
