"""What learning from accepted scans is worth while hippocampi and then left atria come: docs/online.md."""
