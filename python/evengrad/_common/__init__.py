"""What the whole package leans on: checks of arguments, names, settings, paths of variables."""
