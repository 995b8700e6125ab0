"""The denoisers in the box, one module each, and the config fields that only they have."""
