"""Checks that many cases make of one message: notifications and the address lists in them."""
