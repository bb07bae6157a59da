"""Thousands of witness clients at once, on Locust: what a cluster tells them, when, and what it loses.

Locust brings the greenlets, the processes, the machines and the web page. Here is the rest: a client without
an event loop (``connection``), its life (``member``) and what it reports (``records``), the events
(``scenarios``), who must hear of them (``ledger``), the run (``run``) and its report (``outcome``).
Locust loads ``locustfile``.

The swarm measures. It gives no verdict: a conforming server may be slow.
"""
