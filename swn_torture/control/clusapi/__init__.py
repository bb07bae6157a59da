"""The controller ``clusapi``: a failover cluster, by ClusAPI (MS-CMRP) as Failover Cluster Manager uses it.

- ``client``: ``ClusapiClient``, the calls, over ncacn_ip_tcp at PKT_PRIVACY; every call is logged.
- ``controller``: ``ClusapiController``.

It was used against the reference only. Nobody has tried it with Windows yet.
"""
