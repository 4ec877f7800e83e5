"""What a run takes, as viewers ask for it."""

from __future__ import annotations

from typing import Any

import mecca_env
from mecca_agents.session import Model
from mecca_env.process.choices import read_choice
from mecca_env.process.config import STARTS, EnvConfig

PROMPTS = ("points", "scribble", "lasso", "bbox2d", "bbox3d")


def capabilities(model: Model) -> dict[str, Any]:
    """What a run takes.

    Every run takes points, scribbles, lassos and boxes; one that was trained without signs takes the first three as
    clicks on edges (`serve.prompting.prompts.PromptedSession`). Masks can always be gone on from; whether an agent was
    trained to make them better is said apart.
    """
    trained = EnvConfig(shape=model.run.preset.shape, **model.run.settings)
    mends_masks = read_choice("start", trained.start, STARTS).get("mask", 0.0) > 0
    return {
        "supported_interactions": dict.fromkeys(PROMPTS, True),
        "channel_mapping": {"prev_seg": 0, **{name: [2 * i + 1, 2 * i + 2] for i, name in enumerate(PROMPTS)}},
        "num_interaction_channels": 2 * len(PROMPTS) + 1,
        "supports_initial_label": True,
        "supports_zero_shot_label_refinement": mends_masks,
        "supports_undo": True,
        "do_autozoom": model.finds_its_view,
        "preferred_scribble_thickness": [2, 2, 2],
        "interaction_decay": 1.0,
        "inference_session_version": f"mecca {mecca_env.__version__}",
        "patch_size": list(model.config.shape[::-1]),
        "license": f"{model.method}, trained on {model.trained_on}. Not a medical device.",
    }
