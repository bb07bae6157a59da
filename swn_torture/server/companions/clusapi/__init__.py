"""A part of ClusAPI (MS-CMRP, protocol version 3): open, query and switch cluster resources.

Windows clusters are administered by this interface. Tests use it too: `smbtorture rpc.witness` takes the
network name of a cluster offline and checks the notifications of its witness clients.

- `messages`: requests and responses as plain values.
- `codec`: their stub data, NDR32 and NDR64.
- `resource`: `NetworkName`, the network name of the cluster, the only resource.
- `endpoint`: `ClusapiEndpoint`, the methods and their context handles.
"""
