"""The embedded default: a drawn world and its tiny CLIP, made without any download."""
