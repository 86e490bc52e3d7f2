"""The main job from nothing, told as it happens: what `clocher demo` runs."""
