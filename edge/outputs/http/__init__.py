"""`http://`: the live view in a browser, and what machines ask of a daemon: health, metrics, state, events."""
