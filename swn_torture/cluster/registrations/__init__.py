"""Cases about registrations from start to end (MS-SWN 3.1.1.3, 3.1.4, 3.1.5).

Delivery, pending events, timers, lost connections; ``swn_torture.cluster`` has the map.
"""
