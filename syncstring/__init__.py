"""Text sync for editors: patches, deterministic merge, any version of the past."""
