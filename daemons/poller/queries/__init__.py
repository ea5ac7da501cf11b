"""Every SQL statement of the poller: `polls` says when and how far, `listings` what was found."""
