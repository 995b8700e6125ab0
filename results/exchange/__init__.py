"""The formats of other tools: MLflow's file store, which is imported, and Every Eval Ever, which is exported."""
