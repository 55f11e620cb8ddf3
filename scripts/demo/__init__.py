"""``make run``: the main job on this machine, where a person sees it. Leaves nothing behind."""
