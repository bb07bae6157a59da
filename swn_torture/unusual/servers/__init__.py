"""The unusual servers; each module has them in its table `SERVERS`.

* `nodes`: how many nodes and interfaces there are, which addresses they have, and what a node lists.
* `mapper`: the endpoint mapper.
* `transport`: authentication, presentation contexts, fragments, errors, and services other than witness.
* `fields`: values and readings of PDU fields where no text decides.
* `timing`: slow replies and events, long intervals and short time-outs.
* `limits`: how many registrations, contexts and connections a server holds.
"""
