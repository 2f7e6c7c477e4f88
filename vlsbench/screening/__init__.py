"""What a reader should know of a submission's answers: flags, addresses to the judge, copies. No score is changed."""
