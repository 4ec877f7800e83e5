"""A trained agent and a person, on one scan: boxes, clicks and masks in the scan's own voxels.

from mecca_agents.session import InteractiveSession

session = InteractiveSession("runs/first")  # or no run at all: `general`, for any organ
session.set_image("scan.nii.gz")
session.set_box((40, 60, 20), (90, 110, 52))
session.add_clicks([(52, 81, 33), (78, 90.5, 40)])
mask = session.step()
session.save("mask.nii.gz")
"""

from mecca_agents.session.errors import SessionError
from mecca_agents.session.interactive import MOST_VOXELS, InteractiveSession
from mecca_agents.session.log import Entry, SessionLog, read_log
from mecca_agents.session.playing.layers import Layer, Region
from mecca_agents.session.playing.model import Model, load_model
from mecca_agents.session.playing.moment import Click
from mecca_agents.session.timing import StepTime

__all__ = [
    "MOST_VOXELS",
    "Click",
    "Entry",
    "InteractiveSession",
    "Layer",
    "Model",
    "Region",
    "SessionError",
    "SessionLog",
    "StepTime",
    "load_model",
    "read_log",
]
