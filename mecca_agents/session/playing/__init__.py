"""An agent at work on a scan: what it sees of it, its episode, and what can be shown of that."""
