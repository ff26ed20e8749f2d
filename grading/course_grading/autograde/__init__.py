"""Grade submissions: answer keys, comparison with the reference, messages, worker processes."""
