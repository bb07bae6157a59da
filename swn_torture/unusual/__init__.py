"""Unusual servers: reference servers that conform, but not in the way that most servers do.

They are the twin of the faults. A fault has to be found; an unusual server must not be failed.

Declaring and finding unusual servers:

* `registry`: what an unusual server is, and how it is applied to a profile and to a cluster.
* `servers`: the unusual servers, by subject.
* `options`: one more for each value of each option of the reference server.
* `library`: all unusual servers by name.

Running the suite against them:

* `matrix`: the innocence matrix.
"""
