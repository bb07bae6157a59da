"""Optional services on the nodes of a cluster, for clients and test suites that need more than witness.

- `cluster_access`: `ClusterAccess`, the Protocol by which the services use the cluster.
- `services`: `CompanionServices`, makes the services that the configuration asks for.
- `dispatch`: `TableInterface`, an RPC interface defined by a table of operations.
- `clusapi`: a part of ClusAPI (MS-CMRP): the network name of the cluster as a resource.
- `srvsvc`: a part of the server service (MS-SRVS): the shares.
- `smb`: `SmbServer`, the shares over SMB 2 on one address, based on impacket.
- `samba`: `SambaServer`, the same by Samba's smbd; `smbd_keeper` starts and ends its processes.
- `file_service`: `FileService`, SMB on all addresses of a node, with the server service on its srvsvc pipe.
"""
