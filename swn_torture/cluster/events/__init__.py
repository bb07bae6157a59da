"""Cases about cluster events and their notifications (MS-SWN 3.1.6); ``swn_torture.cluster`` has the map."""
