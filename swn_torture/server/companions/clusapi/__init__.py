"""A little of ClusAPI (MS-CMRP, protocol version 3): cluster resources are opened, asked, and switched.

Windows clusters are administered by this interface, and so do tests written for them: `smbtorture
rpc.witness` takes the network name of a cluster offline to see what witness clients are told.
"""
