"""What a person gives to a session: a scan, a mask to go on from, lines and areas that are drawn."""
