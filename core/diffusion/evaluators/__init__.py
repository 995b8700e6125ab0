"""The evaluators in the box, one module each; they enter through ``pyml.evaluators`` like any plugin's."""
