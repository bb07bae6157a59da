"""Cases about events of the cluster and the registrations that are notified of them (MS-SWN 3.1.4 to 3.1.6).

The third part of the suite, after ``ndr`` and ``rpc``. Two rooms:

events/: what happens in the cluster, and the notifications that follow (MS-SWN 3.1.6)

- ``test_resource_change``: RESOURCE_CHANGE, the response for interface state changes
- ``test_client_move``: CLIENT_MOVE, the response for client moves
- ``test_share_move``: SHARE_MOVE, the response for share moves
- ``test_ip_change``: IP_CHANGE, the response for changed addresses
- ``test_move_matching``: the registrations that a client move or share move notifies; servers of version 1
- ``test_interface_events``: interfaces that go down and up, in the interface list and in notifications
- ``test_interface_list_events``: GetInterfaceList without AVAILABLE interfaces, and with an empty list
- ``test_new_addresses``: addresses that are added and removed
- ``test_node_failure``: nodes that fail or are disabled, and their return
- ``test_failure_situations``: two nodes at once, flapping, rolling restart, during a registration or a move
- ``test_service_failures``: a witness service that hangs, or loses a process
- ``test_moved_addresses``: an address that moves to another node
- ``test_restart``: the start of a witness service: registrations, interfaces, version, name
- ``test_example_sequence``: the example of MS-SWN 4.1

registrations/: a registration from its start to its end (MS-SWN 3.1.1.3, 3.1.4, 3.1.5)

- ``test_delivery``: which registrations the server notifies, and its handles
- ``test_pending``: events that happen while no AsyncNotify is pending
- ``test_keep_alive``: KeepAliveTimeout, and several calls on one registration
- ``test_unused_registrations``: the unused-registration timer and what counts as use
- ``test_forced_unregister``: registrations that an administrator removes
- ``test_connection_loss``: clients that close their connection or become unreachable
"""
