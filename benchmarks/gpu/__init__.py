"""What only a GPU can show: the env step at its bandwidth, the learner at its convolutions, and what holds them up."""
