"""The people who click, simulated. Anyone can write their own: one method, from a state to clicks.

What they click, and how often at most, is in the contract (`mecca_env.process.contracts.SimulatedUser`). Whatever they
draw comes from the state's own random streams (`tensors.rng`), so it depends on the episode alone.
"""

from mecca_env.process.users.edges import EdgeUser, ImpreciseUser
from mecca_env.process.users.errors import LargestErrorUser, RandomErrorUser, RegionCentreUser
from mecca_env.process.users.mixture import MixedUser
from mecca_env.process.users.named import make_user
from mecca_env.process.users.nobody import NoUser
from mecca_env.process.users.scribbles import ScribbleUser

__all__ = [
    "EdgeUser",
    "ImpreciseUser",
    "LargestErrorUser",
    "MixedUser",
    "NoUser",
    "RandomErrorUser",
    "RegionCentreUser",
    "ScribbleUser",
    "make_user",
]
