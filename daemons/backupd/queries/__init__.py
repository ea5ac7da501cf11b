"""SQL of backupd, a module for each subject."""
