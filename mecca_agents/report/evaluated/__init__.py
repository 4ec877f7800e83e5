"""What is told of a single evaluation: the scores of a challenge, a curve, what a stream taught."""
