"""Labels, numbers and escaping: how names and values are written."""
