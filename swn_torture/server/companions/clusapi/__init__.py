"""A part of ClusAPI (MS-CMRP, protocol version 3): nodes, the group and the resources of a cluster.

Windows clusters are administered by this interface. Tests use it too: `smbtorture rpc.witness` takes the
network name of a cluster offline and checks the notifications of its witness clients.

- `messages`: requests and responses as plain values.
- `codec`: their stub data, NDR32 and NDR64.
- `resource`: `NetworkName`, `AddressResource`, `Group` and `ClusterNode`, the objects.
- `endpoint`: `ClusapiEndpoint`, the methods and their context handles.
"""
