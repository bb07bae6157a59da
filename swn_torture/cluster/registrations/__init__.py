"""The life of a registration: timers, lost connections, pending notifications (MS-SWN 3.1.1.3, 3.1.5)."""
