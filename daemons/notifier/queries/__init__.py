"""SQL of the notifier, a module for each thing."""
