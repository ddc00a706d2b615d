"""Training: members, their rows and batches, the skorch net, stacks and captured steps."""
