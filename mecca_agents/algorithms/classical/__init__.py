"""Methods from before networks, which read signed prompts and the scan and learn nothing: a floor for who prompts."""
