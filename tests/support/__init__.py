"""What the tests share: probes for tools, real processes that never outlive their test, waiting."""
