"""The commands in the box, one module each; they enter through ``pyml.commands`` like any plugin's."""
