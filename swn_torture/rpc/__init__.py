"""The suite, second part: every opnum, and the transport: binding, fragments, calls, authentication."""
