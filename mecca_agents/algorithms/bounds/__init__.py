"""Methods that learn nothing: what any other has to beat, and what none can."""
