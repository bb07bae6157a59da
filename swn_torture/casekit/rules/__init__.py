"""Checks that many cases make of one notification, each with the tuple of requirement ids that it checks.

- ``notification_rules``: RESP_ASYNC_NOTIFY, IPADDR_INFO_LIST, IPADDR_INFO and RESOURCE_CHANGE (MS-SWN 2.2.2).
- ``negatives``: a registration is not notified of an event that is not for it.
- ``failure_scenario``: a node fails, with clients registered at another node.
- ``move_rules``: the content of client moves, share moves and IP changes (MS-SWN 3.1.4.4).
"""
