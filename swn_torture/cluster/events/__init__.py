"""Events of the cluster and what clients are notified of (MS-SWN 3.1.6)."""
