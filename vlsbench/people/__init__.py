"""What people said of a submission's answers: their labels, the page, agreement, the corrected rate."""
