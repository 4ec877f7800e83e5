"""The decision process in tensors: what an action does, what it earns, who clicks where, what a click becomes."""
