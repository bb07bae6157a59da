"""A part of the server service (MS-SRVS): clients list and query the shares of the cluster.

- `messages`: requests and responses as plain values.
- `codec`: their stub data, NDR32 and NDR64.
- `endpoint`: `SrvsvcEndpoint`, the methods.
"""
