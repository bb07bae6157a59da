"""The Active Directory domain of a lab, as data: names, addresses and configuration files.

The domain controller is a machine of the lab like a node, with a namespace and a file system of its own. It
has the accounts, and serves Kerberos, LDAP and DNS to the lab only. All nodes share one machine account, with
the name of the cluster: CTDB keeps its secrets. This machine learns nothing of the domain.

- ``names``: realm, names and addresses.
- ``settings``: the configuration files of the domain controller and of the members.

``swn_torture.lab.directory`` starts the domain controller and joins the cluster.
"""
