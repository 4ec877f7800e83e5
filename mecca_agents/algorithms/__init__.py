"""Every method, one a file: MECCA and all that it is compared with (`mecca_agents.METHODS` names them)."""
