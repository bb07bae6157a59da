"""Connection-oriented DCE/RPC (C706, MS-RPCE) as a test instrument: both ends, right or wrong on purpose."""
