"""A little of the server service (MS-SRVS): the shares of the cluster, as clients list them."""
