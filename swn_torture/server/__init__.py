"""The reference witness cluster: a conforming MS-SWN 14.0 server under test control.

- `state`: the state machine of MS-SWN 3.1, without I/O. Its clock is a parameter.
- `config`: the configuration of a cluster: names, nodes, addresses, shares, users, options.
- `condition`: the condition of a node: ok, disabled, crashed, silent, partitioned.
- `companions`: optional services on the same nodes: ClusAPI (MS-CMRP), the server service (MS-SRVS), SMB.
- `activity`: what the server does, as a log and as a capture; used only when somebody asks for it.
- `nodes`: puts the state machine on the network: endpoint, node, cluster, administration, `serve`.

A module imports only modules of its own line or of a line above it; `companions` does not import `nodes`, it
uses the Protocol `companions.cluster_access.ClusterAccess`. The server contains no faults:
`swn_torture.faults` subclasses its classes, and `nodes.parts.Parts` passes the subclasses to a cluster.
"""
