"""What this project measures beside the papers: one study a module, and what they share."""
