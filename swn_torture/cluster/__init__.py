"""The suite, third part: timers, notifications, node failures; what a witness service exists for."""
