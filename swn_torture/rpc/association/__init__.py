"""Connections of the RPC transport: how a client finds the witness endpoint, binds, and closes.

- ``test_endpoint_mapper``: the endpoint mapper returns the port of the witness interface.
- ``test_endpoint_addresses``: its towers name no other node, at whatever address it is called.
- ``test_bind``: the interface, who may bind, RPC versions, the contents of bind_ack, limits.
- ``test_interface_version``: major and minor versions of the interface in a bind.
- ``test_transfer_syntax``: negotiation of NDR and NDR64.
- ``test_bind_time_features``: negotiation of SecurityContextMultiplexing and KeepConnectionOnOrphan.
- ``test_alter_context``: more presentation contexts on a connection; context ids in requests and responses.
- ``test_association_groups``: assoc_group_id, which makes connections one association.
- ``test_rundown``: registrations after the connections of their association close.
"""
