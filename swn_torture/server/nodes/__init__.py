"""The cluster on the network: it carries the state machine (`server.state`) and the companion services.

- `endpoint`: `WitnessEndpoint`, the witness interface on an RPC server: stubs, access check, cancels, timer.
- `parts`: `Parts`, the classes of a node that a fault can replace.
- `node`: `Node`, a witness server and an endpoint mapper on the addresses of one node.
- `events`: `ClusterEvents`, the nodes and interfaces, and how an event reaches the nodes that see it.
- `failures`: `FailingCluster`, how nodes fail and recover, and when the others detect it.
- `cluster`: `ReferenceCluster`, all of this, and the events that an administrator can cause.

Ways to run and control a cluster:

- `admin`: `AdminServer`, the administration: commands as lines of JSON over TCP.
- `embedded`: `EmbeddedCluster`, a cluster in a thread of this process, for tests.
- `serve`: a cluster in the foreground, for `swn-torture serve`.
"""
