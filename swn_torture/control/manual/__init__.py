"""The controller ``manual``: a person at the terminal changes the cluster.

- ``texts``: what the person is asked to do, and why.
- ``terminal``: ``Terminal``, shows a question and reads the answer, on the terminal of the process.
- ``memory``: ``Memory``, what the person has answered in this run, also in cases before.
- ``controller``: ``ManualController``, the calls.
- ``call``: ``Call``, one call of a case as a value.
- ``forwarded``: ``ForwardedController``, hands the calls of a case over: one is made for several cases.
"""
