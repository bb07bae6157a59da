"""The methods of the witness interface, opnums 0 to 5, and their parameters (MS-SWN 3.1.4).

One method each:

- ``test_get_interface_list``: opnum 0, the list and the cluster it describes.
- ``test_register``: opnums 1 and 4, the rules that Register and RegisterEx have in common.
- ``test_register_ex``: opnum 4, the parameters that Register does not have.
- ``test_unregister``: opnum 2.
- ``test_async_notify``: opnum 3 after UnRegister; the notifications are in ``swn_torture.cluster``.
- ``test_unregister_ex``: opnum 5, from revision 14.0 on.

Parameters of a registration:

- ``test_names``: NetName and ClientComputerName.
- ``test_addresses``: IpAddress, and text that is not an address.
- ``test_shares``: ShareName, and what scale-out shares change.
- ``test_check_order``: several wrong parameters at the same time.

All methods together:

- ``test_opnums``: which method each opnum is.
- ``test_context_handles``: invalid handles, and where and for whom a handle is valid.
- ``test_win32_codes``: return values.
"""
