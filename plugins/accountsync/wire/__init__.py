"""HTTP as the configuration declares it: requests, tokens, answers, errors."""
