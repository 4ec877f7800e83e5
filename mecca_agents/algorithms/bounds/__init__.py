"""What bounds a table: floors, which any other method has to beat, and the oracle, which none can."""
